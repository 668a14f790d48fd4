// Sliding windows: which configurations have one, and which of their blocks.
#include <gtest/gtest.h>

#include "config_testing.h"
#include "halftone/model/spec.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::Json;
using testing::llama;
using testing::mistral;
using testing::parse;
using testing::qwen2;
using testing::with;

using Window = std::optional<int64_t>;
using Layers = std::vector<bool>;

Json with_null(Json json, const char* key) {
  json[key] = nullptr;
  return json;
}

TEST(ConfigWindow, MistralHasOneUnlessItIsNull) {
  EXPECT_EQ(parse(mistral()).sliding_window, 4096);
  EXPECT_EQ(parse(with(mistral(), R"({"sliding_window": 128})")).sliding_window, 128);
  EXPECT_EQ(parse(with_null(mistral(), "sliding_window")).sliding_window, Window());
  EXPECT_EQ(parse(with(mistral(), R"({"sliding_window": null})")).sliding_window, 4096) << "absent";
  EXPECT_EQ(parse(with(mistral(), R"({"use_sliding_window": false})")).sliding_window, Window());
  EXPECT_EQ(parse(with(mistral(), R"({"max_window_layers": 21})")).sliding_layers, Layers());
}

TEST(ConfigWindow, LlamaHasNoneAsInTransformers) {
  EXPECT_EQ(parse(llama()).sliding_window, Window());
  EXPECT_EQ(parse(with(llama(), R"({"sliding_window": 4096})")).sliding_window, Window());
}

TEST(ConfigWindow, Qwen2HasOneWhereItIsUsedAndALayerSlides) {
  EXPECT_EQ(parse(qwen2()).sliding_window, Window());
  const Json used = with(qwen2(), R"({"use_sliding_window": true, "sliding_window": 64})");
  const ModelConfig c = parse(used);
  EXPECT_EQ(c.sliding_window, 64);
  Layers last_three(24, false);
  last_three[21] = last_three[22] = last_three[23] = true;
  EXPECT_EQ(c.sliding_layers, last_three);
  EXPECT_EQ(parse(with(used, R"({"max_window_layers": 24})")).sliding_window, Window());
  EXPECT_EQ(parse(with(used, R"({"max_window_layers": null})")).sliding_window, Window()) << "28";
  const ModelConfig all = parse(with(used, R"({"max_window_layers": 0})"));
  EXPECT_EQ(all.sliding_window, 64);
  EXPECT_EQ(all.sliding_layers, Layers());
  EXPECT_EQ(parse(with_null(used, "sliding_window")).sliding_window, Window());
  EXPECT_EQ(parse(with(used, R"({"sliding_window": null})")).sliding_window, 4096) << "absent";
}

TEST(ConfigWindow, LayerTypesSayWhichLayersSlide) {
  const Json two = with(qwen2(), R"({"num_hidden_layers": 2, "use_sliding_window": true,
      "layer_types": ["sliding_attention", "full_attention"]})");
  EXPECT_EQ(parse(two).sliding_window, 32768);
  EXPECT_EQ(parse(two).sliding_layers, (Layers{true, false}));
  const Json full = with(two, R"({"layer_types": ["full_attention", "full_attention"]})");
  EXPECT_EQ(parse(full).sliding_window, Window());
  const auto refused = [](const Json& json, const char* phrase) {
    expect_refused(phrase, [&] { parse(json); });
  };
  refused(with(two, R"({"use_sliding_window": false})"),
          "expected \"full_attention\" for each layer, as no sliding window is in use");
  refused(with(two, R"({"layer_types": ["full_attention"]})"), "expected a list of 2 names");
  refused(with(two, R"({"layer_types": "full_attention"})"), "expected a list of 2 names");
  refused(
      with(two, R"({"layer_types": ["full_attention", "chunked_attention"]})"),
      "layer_types is [\"full_attention\",\"chunked_attention\"], expected \"full_attention\" or");
  refused(with(two, R"({"sliding_window": 0})"), "sliding_window is 0, expected a whole number");
  refused(with(two, R"({"use_sliding_window": 1})"), "use_sliding_window is 1");
}

TEST(ConfigWindow, IsWrittenAndReadBack) {
  const char* used = R"({"use_sliding_window": true, "sliding_window": 64})";
  for (const Json& json : {mistral(), with_null(mistral(), "sliding_window"), with(qwen2(), used),
                           with(with(qwen2(), used), R"({"max_window_layers": 0})"),
                           with(llama(), R"({"sliding_window": 64})")}) {
    const ModelConfig c = parse(json);
    const Json written = Json::parse(config_json(c, DType::f32));
    EXPECT_EQ(parse(written), c) << written;
    Json older = written;  // before there was layer_types
    older.erase("layer_types");
    EXPECT_EQ(parse(older), c) << older;
  }
}

TEST(ConfigWindow, IsOfTheBlocksThatHaveIt) {
  const auto windows = [](const Json& json) {
    std::vector<int64_t> out;
    for (const BlockSpec& block : decoder_spec(parse(json)).blocks) out.push_back(block.window);
    return out;
  };
  using Windows = std::vector<int64_t>;
  const Json two = with(qwen2(), R"({"num_hidden_layers": 2, "use_sliding_window": true,
      "sliding_window": 64, "max_window_layers": 1})");
  EXPECT_EQ(windows(two), (Windows{0, 64}));
  EXPECT_EQ(windows(with(two, R"({"max_window_layers": 0})")), (Windows{64, 64}));
  EXPECT_EQ(windows(with(two, R"({"use_sliding_window": false})")), (Windows{0, 0}));
  EXPECT_EQ(windows(with(mistral(), R"({"num_hidden_layers": 2, "sliding_window": 6})")),
            (Windows{6, 6}));
}

}  // namespace
}  // namespace halftone
