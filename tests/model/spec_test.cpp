#include "halftone/model/spec.h"

#include <set>
#include <string>

#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::tiny_config;

TEST(Spec, ListsEveryParameterOnceInTheOrderOfTheModel) {
  const auto weights = expected_weights(decoder_spec(tiny_config()));
  ASSERT_EQ(weights.size(), 1u + 2 * 9 + 1);
  EXPECT_EQ(weights.front().name, "model.embed_tokens.weight");
  EXPECT_EQ(weights.front().shape, (Shape{40, 32}));
  EXPECT_EQ(weights.front().layer, -1);
  EXPECT_EQ(weights.back().name, "model.norm.weight");
  EXPECT_EQ(weights[1].name, "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(weights[1].role, ParamRole::norm);
  EXPECT_EQ(weights[3].name, "model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(weights[3].gguf_name, "blk.0.attn_k.weight");
  EXPECT_EQ(weights[3].shape, (Shape{16, 32}));
  EXPECT_EQ(weights[3].rotary_heads, 2);
  std::set<std::string> names;
  for (const ExpectedWeight& weight : weights) {
    EXPECT_TRUE(names.insert(weight.name).second) << weight.name;
    EXPECT_TRUE(names.insert(weight.gguf_name).second) << weight.gguf_name;
  }
}

TEST(Spec, AHeadAndBiasesAreThereWhereTheConfigurationSaysSo) {
  ModelConfig config = tiny_config();
  config.tie_word_embeddings = false;
  config.attention_bias = true;
  const auto weights = expected_weights(decoder_spec(config));
  EXPECT_EQ(weights.size(), 20u + 1 + 2 * 3);
  EXPECT_EQ(weights.back().name, "lm_head.weight");
  EXPECT_EQ(weights[3].name, "model.layers.0.self_attn.q_proj.bias");  // behind its weight
  EXPECT_EQ(weights[3].shape, (Shape{32}));
  EXPECT_EQ(weights[3].role, ParamRole::bias);
}

TEST(Spec, CountsParametersAndWhatGetsQuantised) {
  const int64_t linears = 2 * (32 * 32 * 2 + 16 * 32 * 2 + 3 * 48 * 32);
  EXPECT_EQ(block_linear_weights(decoder_spec(tiny_config())), linears);
  EXPECT_EQ(parameter_count(decoder_spec(tiny_config())), linears + 40 * 32 + 5 * 32);
}

TEST(Spec, TablesThatFilesHoldBesideTheParametersAreNoWeights) {
  for (const char* name : {"model.layers.3.self_attn.rotary_emb.inv_freq", "rope_freqs.weight",
                           "blk.0.attn_rot_embd.weight"})
    EXPECT_TRUE(is_harmless_extra(name)) << name;
  for (const char* name : {"model.norm.weight", "rope_freqs.weight.extra"})
    EXPECT_FALSE(is_harmless_extra(name)) << name;
}

}  // namespace
}  // namespace halftone
