// A checkpoint of a training or a final model, without its seal, which is put behind it: as a
// model, as what a run resumes from, and as what `inspect` shows.
#include "app/identity.h"
#include "halftone/io/checkpoint_file.h"
#include "halftone/io/sealed_file.h"
#include "model_use.h"
#include "tiny_run.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(checkpoint) {
  static TinyRun dense(false), onebit(true);
  const std::string path = scratch().write("step-00000002.h5", input);
  if (!accepted([&] { seal_file(path); })) return;
  if (!accepted([&] { tensors_digest(read_checkpoint_file(path).tensors); })) return;
  accepted([&] { use_inspection(scratch().path()); });
  accepted([&] { read_outline(path); });
  accepted([&] {
    LoadedModel model = load_model(scratch().path());
    use_model(model);
  });
  accepted([&] {
    std::vector<std::string> damaged;
    const CheckpointContent content = newest_checkpoint(scratch().path(), damaged)->content;
    accepted([&] { check_identity(content, {.recipe = "[run]\nname = 'other'\n"}, true); });
    const TrainerState state = training_state(content);
    for (TinyRun* run : {&dense, &onebit})
      accepted([&] { run->trainer().restore(content.tensors, state); });
  });
}

}  // namespace halftone::fuzz
