#include "halftone/train/trainer.h"
#include "halftone/model/spec.h"

#include "halftone/base/rng.h"
#include "halftone/compress/onebit_start.h"
#include "halftone/model/build.h"
#include "halftone/model/import.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

class TrainerOnACache : public TemporaryFolder {};

TEST_F(TrainerOnACache, FollowsTheTrainerOnTheTeacherSequenceBySequence) {
  const ImportedModel imported =
      import_model(HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_student/teacher", {.widen = true});
  Decoder teacher = build_decoder(decoder_spec(imported.config), imported.weights);
  const int64_t vocabulary = imported.config.vocab_size, length = 8;
  std::vector<int32_t> ids(9 * length);
  Rng rng(3, RngStream::test);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary)));
  const TokenSequences sequences(ids, length);
  const LossSettings loss{.kl = 5, .kl_temperature = 1.5, .hidden = 0};

  // All ids are kept, so that the losses differ by the rounding of F16 alone.
  LogitCache cache({.directory = folder(),
                    .key = std::string(64, '0'),
                    .sequences = sequences.count(),
                    .length = length,
                    .vocabulary = vocabulary,
                    .top_k = vocabulary});
  cache.write(0, std::vector{teacher_rows(teacher, ids, 9, vocabulary, loss.kl_temperature)});
  ASSERT_TRUE(cache.whole());

  const auto kl_of_steps = [&](Decoder* live, const LogitCache* cached) {
    Decoder student =
        build_decoder(decoder_spec(imported.config), trainable_copy(imported.weights));
    start_onebit(student, StudentSettings{});
    Batches batches(sequences, 2, 7);
    // Steps so small that no sign flips in one of the two alone.
    Trainer trainer(student, live, batches, loss,
                    {.per_device_train_batch_size = 2, .learning_rate = 1e-6}, 8, cached);
    std::vector<double> out;
    while (!trainer.done()) out.push_back(trainer.step().loss.kl);
    return out;
  };
  const std::vector<double> live = kl_of_steps(&teacher, nullptr),
                            cached = kl_of_steps(nullptr, &cache);
  for (size_t step = 0; step < live.size(); ++step)
    EXPECT_NEAR(cached[step], live[step], 2e-3 * live[step]) << step;
  EXPECT_NE(live[0], live[1]);
}

}  // namespace
}  // namespace halftone
