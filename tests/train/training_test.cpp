#include "halftone/train/training.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/compress/onebit_start.h"
#include "halftone/io/strict_json.h"
#include "io/temporary_folder.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

constexpr int64_t kSteps = 6, kLength = 8, kBatch = 2;

class TrainingTest : public TemporaryFolder {
 protected:
  TrainingTest() {
    settings_.per_device_train_batch_size = kBatch;
    settings_.logging_steps = 2;
    settings_.save_minutes = 0;
    settings_.save_total_limit = 1;
  }

  // A student with its trainer, as one sitting of a run has them.
  struct Sitting {
    LoadedModel student;
    Batches batches;
    Trainer trainer;
    Sitting(Decoder& teacher, const TokenSequences& sequences, const TrainSettings& settings)
        : student(made()),
          batches(sequences, kBatch, 7),
          trainer(student.decoder, &teacher, batches, {}, settings, kSteps) {}
    static LoadedModel made() {
      LoadedModel out;
      out.config = testing::tiny_config();
      out.decoder = testing::tiny_decoder();
      start_onebit(out.decoder, {});
      return out;
    }
  };
  std::unique_ptr<Sitting> sitting() {
    return std::make_unique<Sitting>(teacher_, sequences_, settings_);
  }
  // Trains in a folder of the run, which is asked to stop after so many steps.
  TrainingResult train(const std::string& run, Sitting& sitting, int64_t most_steps = 99,
                       const std::function<double()>& perplexity = {}) {
    const RunDirectory directory(at(run));
    directory.create();
    int64_t seen = 0;
    return run_training({.directory = directory,
                         .identity = {{"recipe", "this one"}},
                         .stop = [&] { return seen >= most_steps; },
                         .progress = [&](int64_t done, const std::string&) { seen = done; }},
                        sitting.trainer, sitting.student, settings_, perplexity);
  }
  CheckpointContent newest(const std::string& run) {
    std::vector<std::string> damaged;
    return RunDirectory(at(run)).newest_content(damaged).value();
  }

  static TokenSequences sequences() {
    Rng rng(4, RngStream::test);
    std::vector<int32_t> tokens(5 * kLength);
    for (int32_t& t : tokens) t = static_cast<int32_t>(rng.below(40));
    return TokenSequences(tokens, kLength);
  }
  TrainSettings settings_;
  Decoder teacher_ = testing::tiny_decoder();
  const TokenSequences sequences_ = sequences();
};

TEST_F(TrainingTest, LogsEvaluatesAndSavesAsItsSettingsSay) {
  settings_.eval_steps = 3;
  settings_.save_steps = 4;
  const auto run = sitting();
  const TrainingResult result = train("run", *run, 99, [] { return 12.5; });
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.tokens, kSteps * kBatch * kLength);
  EXPECT_GT(result.tokens_per_second, 0);
  std::istringstream log(get("run/log.jsonl"));
  std::string steps, evaluations;
  for (std::string line; std::getline(log, line);) {
    const auto entry = parse_strict_json(line, "log");
    (entry.contains("loss") ? steps : evaluations) += entry.at("step").dump() + " ";
    EXPECT_EQ(entry.value("eval_perplexity", 12.5), 12.5);
  }
  EXPECT_EQ(steps, "2 4 6 ");
  EXPECT_EQ(evaluations, "3 6 ");
  const auto files = checkpoint_files(at("run"));
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0], RunDirectory(at("run")).checkpoint_file(6));
  EXPECT_EQ(newest("run").meta.at("recipe"), "this one");
}

TEST_F(TrainingTest, StoppedAndRestoredItEndsWithTheSameBits) {
  const auto whole = sitting(), first = sitting(), second = sitting();
  train("whole", *whole);
  const TrainingResult stopped = train("parts", *first, 3);  // inside of the second epoch
  EXPECT_TRUE(stopped.interrupted);
  EXPECT_EQ(first->trainer.state().step, 3);
  restore(second->trainer, newest("parts"), kSteps);
  EXPECT_EQ(second->trainer.state().tokens, first->trainer.state().tokens);
  EXPECT_FALSE(train("parts", *second).interrupted);
  EXPECT_EQ(tensors_digest(second->trainer.tensors()), tensors_digest(whole->trainer.tensors()));
  EXPECT_EQ(newest("parts").meta, newest("whole").meta);
}

TEST_F(TrainingTest, AModelCanBeLoadedFromItsCheckpoint) {
  const auto run = sitting();
  train("run", *run, 2);
  LoadedModel loaded = load_model(at("run"));
  EXPECT_EQ(loaded.config, run->student.config);
  EXPECT_EQ(tensors_digest(weights_of(loaded.decoder)),
            tensors_digest(weights_of(run->student.decoder)));
}

TEST_F(TrainingTest, WhatDoesNotFitIsRefused) {
  const auto run = sitting(), other = sitting();
  train("run", *run, 4);
  const auto kind = [&](const CheckpointContent& content, int64_t max_steps) {
    try {
      restore(other->trainer, content, max_steps);
    } catch (const Error& error) {
      return std::optional(error.kind());
    }
    return std::optional<ErrorKind>();
  };
  EXPECT_EQ(kind(newest("run"), 3), ErrorKind::recipe);  // it has done more already
  for (const char* key : {"step", "tokens", "epoch", "position", "skipped"}) {
    CheckpointContent content = newest("run");
    content.meta.erase(key);
    EXPECT_EQ(kind(content, kSteps), ErrorKind::checkpoint) << key;
  }
  CheckpointContent content = newest("run");
  content.meta["position"] = "6";  // of five sequences
  EXPECT_EQ(kind(content, kSteps), ErrorKind::checkpoint);
  EXPECT_EQ(kind(newest("run"), kSteps), std::nullopt);
}

}  // namespace
}  // namespace halftone
