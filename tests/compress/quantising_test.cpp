#include "halftone/compress/quantising.h"

#include <gtest/gtest.h>

#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/io/strict_json.h"
#include "io/temporary_folder.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

constexpr int64_t kSequences = 4, kLength = 12;

class QuantisingTest : public TemporaryFolder {
 protected:
  // One sitting in a folder of the run, which is asked to stop after so many blocks.
  QuantisingResult sit(const std::string& run, LoadedModel& student, int64_t most_blocks,
                       std::optional<CheckpointContent> from = {}) {
    const RunDirectory directory(at(run));
    directory.create();
    int64_t seen = 0;
    return run_quantising({.directory = directory,
                           .identity = {{"recipe", "this one"}},
                           .stop = [&] { return seen >= most_blocks; },
                           .progress = [&](int64_t done, const std::string&) { seen = done; }},
                          student, ptq_method("gptq"), settings_, calibration(student),
                          std::move(from));
  }
  static LoadedModel student() {
    LoadedModel out;
    out.config = testing::tiny_config();
    out.decoder = testing::tiny_decoder();
    return out;
  }
  static Calibration calibration(LoadedModel& model) {
    Rng rng(2, RngStream::test);
    std::vector<int32_t> tokens(kSequences * kLength);
    for (int32_t& t : tokens) t = static_cast<int32_t>(rng.below(40));
    return start_calibration(model.decoder, tokens, kSequences);
  }
  std::optional<CheckpointContent> newest(const std::string& run) {
    std::vector<std::string> damaged;
    return RunDirectory(at(run)).newest_content(damaged);
  }
  CompressSettings settings_{.ptq = {.bits = 3, .group_size = 16, .blocksize = 16}};
};

TEST_F(QuantisingTest, StoppedBetweenBlocksItEndsWithTheSameBits) {
  LoadedModel whole = student(), first = student(), second = student();
  const QuantisingResult at_once = sit("whole", whole, 99);
  EXPECT_FALSE(at_once.interrupted);
  EXPECT_EQ(at_once.layers.size(), 14u);

  const QuantisingResult stopped = sit("parts", first, 1);
  EXPECT_TRUE(stopped.interrupted);
  EXPECT_EQ(stopped.layers.size(), 7u);
  const auto saved = newest("parts");
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->meta.at("recipe"), "this one");
  EXPECT_EQ(saved->meta.at("kind"), "quantising");
  EXPECT_EQ(saved->tensors.count("model/model.layers.1.mlp.up_proj.weight"), 0u);
  const QuantisingResult rest = sit("parts", second, 99, saved);
  EXPECT_FALSE(rest.interrupted);
  ASSERT_EQ(rest.layers.size(), 14u);
  for (size_t i = 0; i < 14; ++i) {
    EXPECT_EQ(rest.layers[i].name, at_once.layers[i].name);
    EXPECT_EQ(rest.layers[i].relative_error, at_once.layers[i].relative_error);
  }
  EXPECT_EQ(tensors_digest(packed_weights(second.decoder)),
            tensors_digest(packed_weights(whole.decoder)));
}

TEST_F(QuantisingTest, LogsEveryBlockAndKeepsItsNewestCheckpointAlone) {
  LoadedModel model = student();
  const QuantisingResult result = sit("run", model, 99);
  std::istringstream log(get("run/log.jsonl"));
  int64_t blocks = 0;
  for (std::string line; std::getline(log, line); ++blocks) {
    const auto entry = parse_strict_json(line, "log");
    EXPECT_EQ(entry.at("step"), blocks + 1);
    const QuantisedLinear& layer = result.layers[static_cast<size_t>(7 * blocks)];
    EXPECT_EQ(entry.at("relative_error").at(layer.name).get<double>(), layer.relative_error);
    EXPECT_FALSE(entry.contains("norm_tweak"));
  }
  EXPECT_EQ(blocks, 2);
  EXPECT_EQ(checkpoint_files(at("run")).size(), 1u);
  EXPECT_EQ(newest("run")->meta.at("step"), "2");
}

TEST_F(QuantisingTest, ACheckpointOfOtherCalibrationIsRefused) {
  LoadedModel model = student(), other = student();
  sit("run", model, 1);
  auto saved = newest("run");
  saved->tensors["state/inputs"] = Tensor::zeros({3, 32}, DType::f32);
  try {
    sit("run", other, 99, saved);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
  }
}

}  // namespace
}  // namespace halftone
