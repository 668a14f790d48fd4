#include "halftone/model/student_exports.h"

#include <gtest/gtest.h>

#include <map>

#include "model/model_testing.h"

namespace halftone {
namespace {

ModelConfig config_of(int64_t hidden, int64_t inner) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = hidden;
  config.intermediate_size = inner;
  config.head_dim = hidden / config.num_attention_heads;
  return config;
}

std::map<std::string, ExportVerdict> verdicts(const ModelConfig& config,
                                              const StudentSettings& student) {
  std::map<std::string, ExportVerdict> out;
  for (const ExportVerdict& verdict : student_exports(config, student))
    out[verdict.format] = verdict;
  EXPECT_EQ(out.size(), 5u);
  return out;
}

std::string possible(const std::map<std::string, ExportVerdict>& all) {
  std::string out;
  for (const auto& [format, verdict] : all)
    if (verdict.possible) out += format + " ";
  return out;
}

TEST(StudentExports, FollowFromWhatStandsBesideTheSigns) {
  const ModelConfig config = config_of(256, 640);
  EXPECT_EQ(possible(verdicts(config, {})), "onebit packed ");
  EXPECT_EQ(possible(verdicts(config, {.post_layer_norm = false})), "gguf hf packed ");
  for (const StudentSettings& student :
       {StudentSettings{.post_layer_norm = false, .foldable = true},
        StudentSettings{.post_layer_norm = false, .scale_group = 64}})
    EXPECT_EQ(possible(verdicts(config, student)), "compressed-tensors gguf hf packed ");
}

TEST(StudentExports, WhatIsImpossibleSaysWhy) {
  const auto normed = verdicts(config_of(256, 640), {});
  for (const char* format : {"hf", "gguf", "compressed-tensors"})
    EXPECT_NE(normed.at(format).detail.find("post_layer_norm = false"), std::string::npos);
  const auto plain = verdicts(config_of(256, 640), {.post_layer_norm = false});
  EXPECT_NE(plain.at("onebit").detail.find("post_layer_norm = true"), std::string::npos);
  EXPECT_NE(plain.at("compressed-tensors").detail.find("student.foldable"), std::string::npos);
}

TEST(StudentExports, AGgufHoldsEachLinearInTheSmallestTypeThatIsExact) {
  const auto detail = [](int64_t hidden, int64_t inner, int64_t group) {
    return verdicts(config_of(hidden, inner),
                    {.post_layer_norm = false, .scale_group = group, .foldable = group == 0})
        .at("gguf")
        .detail;
  };
  EXPECT_EQ(detail(256, 640, 0), "linears as Q1_0 (1.125 bits a weight)");
  EXPECT_EQ(detail(256, 640, 64), "linears as Q2_0 (2.25 bits a weight)");
  EXPECT_EQ(detail(256, 640, 32), "linears as Q4_0 (4.5 bits a weight)");
  EXPECT_EQ(detail(128, 192, 0),
            "linears as Q1_0 (1.125 bits a weight), Q2_0 (2.25 bits a weight)");
  EXPECT_EQ(detail(32, 48, 0), "linears as Q4_0 (4.5 bits a weight), F16 (16 bits a weight)");
  const auto plain = verdicts(config_of(256, 640), {.post_layer_norm = false});
  EXPECT_EQ(plain.at("gguf").detail.find("linears as F16 (16 bits a weight): in_scale"), 0u);
}

TEST(StudentExports, ABlockLiesInOneGroup) {
  const auto name = [](int64_t width, int64_t group) -> std::string {
    const GgmlType* type = gguf_sign_type(width, group);
    return type ? type->name : "none";
  };
  EXPECT_EQ(name(768, 768), "Q1_0");
  EXPECT_EQ(name(576, 576), "Q2_0");  // nine of 64
  EXPECT_EQ(name(576, 64), "Q2_0");
  EXPECT_EQ(name(768, 64), "Q2_0");
  EXPECT_EQ(name(96, 96), "Q4_0");
  EXPECT_EQ(name(768, 32), "Q4_0");
  EXPECT_EQ(name(48, 48), "none");
}

TEST(StudentExports, AFamilyThatLlamaCppDoesNotKnowHasNoGgufAndOthersThanLlamasNoReleasedLayout) {
  const ModelConfig opt = parse_config(
      R"({"model_type": "opt", "hidden_size": 64, "ffn_dim": 128, "num_hidden_layers": 1,
          "num_attention_heads": 4, "vocab_size": 40, "max_position_embeddings": 32,
          "word_embed_proj_dim": 64, "activation_function": "relu"})",
      "opt");
  EXPECT_EQ(possible(verdicts(opt, {.post_layer_norm = false, .foldable = true})),
            "compressed-tensors hf packed ");
  EXPECT_EQ(possible(verdicts(opt, {})), "packed ");
}

}  // namespace
}  // namespace halftone
