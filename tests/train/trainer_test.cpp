#include "halftone/train/trainer.h"
#include "halftone/model/spec.h"

#include "halftone/base/rng.h"
#include "halftone/compress/onebit_start.h"
#include "halftone/model/build.h"
#include "halftone/model/import.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

constexpr int64_t kLength = 8;

ImportedModel small_model() {
  return import_model(HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_student/teacher",
                      {.widen = true});
}

Decoder student_of(const ImportedModel& teacher) {
  Decoder out = build_decoder(decoder_spec(teacher.config), trainable_copy(teacher.weights));
  start_onebit(out, StudentSettings{});
  return out;
}

std::vector<int32_t> random_ids(int64_t vocabulary) {
  std::vector<int32_t> ids(9 * kLength);
  Rng rng(3, RngStream::test);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary)));
  return ids;
}

TEST(Trainer, SignsRestBehindTheirShareOfTheStepsAndScalesGoOn) {
  const ImportedModel imported = small_model();
  Decoder teacher = build_decoder(decoder_spec(imported.config), imported.weights),
          student = student_of(imported);
  const TokenSequences sequences(random_ids(imported.config.vocab_size), kLength);
  Batches batches(sequences, 2, 7);
  Trainer trainer(student, &teacher, batches, {},
                  {.per_device_train_batch_size = 2, .learning_rate = 0.05, .freeze_signs_at = 0.5},
                  12);
  const auto scale = [&] {
    double sum = 0;
    student.visit([&](Param& param) {
      if (param.role != ParamRole::scale) return;
      for (int64_t i = 0; i < param.value.numel(); ++i) sum += param.value.data<float>()[i];
    });
    return sum;
  };
  double before = scale();
  while (!trainer.done()) {
    const StepReport report = trainer.step();
    EXPECT_EQ(report.sign_flip_rate > 0, report.step <= 6) << report.step;
    EXPECT_NE(scale(), before) << report.step;
    before = scale();
  }
}

class TrainerOnACache : public TemporaryFolder {};

TEST_F(TrainerOnACache, FollowsTheTrainerOnTheTeacherSequenceBySequence) {
  const ImportedModel imported = small_model();
  Decoder teacher = build_decoder(decoder_spec(imported.config), imported.weights);
  const int64_t vocabulary = imported.config.vocab_size;
  const std::vector<int32_t> ids = random_ids(vocabulary);
  const TokenSequences sequences(ids, kLength);
  const LossSettings loss{.kl = 5, .kl_temperature = 1.5, .hidden = 0};

  // All ids are kept, so that the losses differ by the rounding of F16 alone.
  LogitCache cache({.directory = folder(),
                    .key = std::string(64, '0'),
                    .sequences = sequences.count(),
                    .length = kLength,
                    .vocabulary = vocabulary,
                    .top_k = vocabulary});
  cache.write(0, std::vector{teacher_rows(teacher, ids, 9, vocabulary, loss.kl_temperature)});
  ASSERT_TRUE(cache.whole());

  const auto kl_of_steps = [&](Decoder* live, const LogitCache* cached) {
    Decoder student = student_of(imported);
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
