#include "tiny_run.h"

#include "halftone/compress/onebit_start.h"

namespace halftone::fuzz {

TinyRun::TinyRun(bool onebit) : sequences_({0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1}, 4) {
  model_.config = parse_config(kConfig, "tiny config");
  const DecoderSpec spec = decoder_spec(model_.config);
  model_.decoder = build_decoder(spec, random_weights(spec, 3));
  if (onebit) start_onebit(model_.decoder, {});
  batches_ = std::make_unique<Batches>(sequences_, 1, 5);
  const TrainSettings settings;
  trainer_ =
      std::make_unique<Trainer>(model_.decoder, nullptr, *batches_, LossSettings{}, settings, 4);
}

CheckpointContent TinyRun::training_content() {
  CheckpointContent content{.tensors = trainer_->tensors(),
                            .meta = {{"recipe", "[run]\nname = \"tiny\"\nmethod = \"onebit\"\n"},
                                     {"kind", "training"},
                                     {"step", "2"},
                                     {"tokens", "8"},
                                     {"epoch", "0"},
                                     {"position", "2"},
                                     {"skipped", "1 2"}}};
  add_model_meta(content, model_.decoder, model_.config);
  return content;
}

CheckpointContent TinyRun::model_content() {
  return halftone::model_content(model_.decoder, model_.config);
}

}  // namespace halftone::fuzz
