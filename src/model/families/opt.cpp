// OPT (Zhang et al., 2022, arXiv 2205.01068): learned positions, layer norms in front of each half
// of a block or behind it, an MLP of two linears with a ReLU between, biases everywhere. No GGUF of
// it is read: llama.cpp does not know it.
#include "family.h"
#include "model/config_checks.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kEps = 1e-5;           // torch's; no file names another
constexpr int64_t kPositionOffset = 2;  // the first two rows of the table stand for padding

void read_hf(const ConfigFields& in, ModelConfig& config) {
  config.hidden_size = in.whole("hidden_size", 1, kMaxWidth);
  config.intermediate_size = in.whole("ffn_dim", 1, kMaxWidth);
  config.num_hidden_layers = in.whole("num_hidden_layers", 1, kMaxLayers);
  config.num_attention_heads = in.whole("num_attention_heads", 1, kMaxHeads);
  config.num_key_value_heads = config.num_attention_heads;
  config.head_dim = default_head_dim(config, in.where(), {});
  config.vocab_size = in.whole("vocab_size", 1, kMaxVocabulary);
  config.max_position_embeddings = in.whole("max_position_embeddings", 1, kMaxPositions, 2048);
  config.word_embed_proj_dim = in.whole("word_embed_proj_dim", 1, kMaxWidth, config.hidden_size);
  config.do_layer_norm_before = in.boolean("do_layer_norm_before", true);
  config.remove_final_layer_norm = in.boolean("_remove_final_layer_norm", false);
  config.layer_norm_elementwise_affine = in.boolean("layer_norm_elementwise_affine", true);
  config.tie_word_embeddings = in.boolean("tie_word_embeddings", true);
  config.attention_bias = config.attention_output_bias = config.mlp_bias =
      in.boolean("enable_bias", true);
  if (in.has("activation_function") && in.text("activation_function") != "relu")
    in.fail("activation_function", "\"relu\"");
  check_heads(config, in.where(), {});
}

void write_hf(const ModelConfig& config, Json& out) {
  require(config.attention_bias == config.mlp_bias &&
              config.attention_bias == config.attention_output_bias,
          "config_json: opt has its biases everywhere or nowhere");
  out["ffn_dim"] = config.intermediate_size;
  out["word_embed_proj_dim"] = config.word_embed_proj_dim;
  out["do_layer_norm_before"] = config.do_layer_norm_before;
  out["_remove_final_layer_norm"] = config.remove_final_layer_norm;
  out["layer_norm_elementwise_affine"] = config.layer_norm_elementwise_affine;
  out["enable_bias"] = config.mlp_bias;
  out["activation_function"] = "relu";
}

OuterNames decoder_part(const std::string& name) {
  return {"model.decoder." + name, ""};
}

BlockSpec block_spec(const ModelConfig& c, const NormSpec& norm_spec, int64_t layer) {
  BlockSpec block{.slots = {},
                  .norm = norm_spec,
                  .heads = c.num_attention_heads,
                  .key_value_heads = c.num_key_value_heads,
                  .head_dim = c.head_dim,
                  .rotary = {},
                  .activation = Activation::relu};
  const int64_t hidden = c.hidden_size, inner = c.intermediate_size;
  const bool bias = c.mlp_bias, before = c.do_layer_norm_before;
  const auto name = [&](const char* part) {
    return fmt::format("model.decoder.layers.{}.{}", layer, part);
  };
  const auto norm = [&](SlotRole role, const char* part) {
    block.slots.push_back({.role = role, .hf = name(part), .gguf = "", .out = hidden});
  };
  const auto linear = [&](SlotRole role, const char* part, int64_t out, int64_t in, int group) {
    block.slots.push_back({.role = role,
                           .hf = name(part),
                           .gguf = "",
                           .out = out,
                           .in = in,
                           .input_group = group,
                           .bias = bias});
  };
  norm(before ? SlotRole::attention_norm : SlotRole::attention_sum_norm, "self_attn_layer_norm");
  linear(SlotRole::q, "self_attn.q_proj", hidden, hidden, 0);
  linear(SlotRole::k, "self_attn.k_proj", hidden, hidden, 0);
  linear(SlotRole::v, "self_attn.v_proj", hidden, hidden, 0);
  linear(SlotRole::o, "self_attn.out_proj", hidden, hidden, 1);
  norm(before ? SlotRole::mlp_norm : SlotRole::mlp_sum_norm, "final_layer_norm");
  linear(SlotRole::up, "fc1", inner, hidden, 2);
  linear(SlotRole::down, "fc2", hidden, inner, 3);
  return block;
}

DecoderSpec spec(const ModelConfig& c) {
  DecoderSpec out{
      .hidden_size = c.hidden_size,
      .vocab_size = c.vocab_size,
      .embedding = decoder_part("embed_tokens"),
      .embedding_size = c.word_embed_proj_dim,
      .positions = LearnedPositions{decoder_part("embed_positions"),
                                    c.max_position_embeddings + kPositionOffset, kPositionOffset},
      .projections = {},
      .final_norm = {},
      .norm = {.kind = NormSpec::Kind::layer,
               .eps = kEps,
               .affine = c.layer_norm_elementwise_affine},
      .head = {},
      .blocks = {},
      .frequencies = {}};
  if (c.word_embed_proj_dim != c.hidden_size)
    out.projections = Projections{decoder_part("project_in"), decoder_part("project_out")};
  if (c.do_layer_norm_before && !c.remove_final_layer_norm)
    out.final_norm = decoder_part("final_layer_norm");
  if (!c.tie_word_embeddings) out.head = OuterNames{"lm_head", ""};
  for (int64_t i = 0; i < c.num_hidden_layers; ++i)
    out.blocks.push_back(block_spec(c, out.norm, i));
  return out;
}

}  // namespace

const Family kOpt{
    "opt",
    "OPTForCausalLM",
    nullptr,
    {"ffn_dim", "word_embed_proj_dim", "do_layer_norm_before", "_remove_final_layer_norm",
     "layer_norm_elementwise_affine", "enable_bias", "activation_function"},
    read_hf,
    nullptr,
    write_hf,
    spec};

}  // namespace halftone
