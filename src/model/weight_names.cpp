#include "halftone/model/weight_names.h"

#include "halftone/base/error.h"

namespace halftone {
namespace {

// Sizes that a shape is made of.
enum class Size { none, hidden, intermediate, q, kv };
// What a bias depends on, and which heads the rows belong to.
enum class Part { norm, q, k, v, o, mlp };

struct BlockRow {
  const char* hf;    // behind "model.layers.N.", without ".weight"
  const char* gguf;  // behind "blk.N."
  Part part;
  Size out, in;
};

constexpr BlockRow kBlock[] = {
    {"input_layernorm", "attn_norm", Part::norm, Size::hidden, Size::none},
    {"self_attn.q_proj", "attn_q", Part::q, Size::q, Size::hidden},
    {"self_attn.k_proj", "attn_k", Part::k, Size::kv, Size::hidden},
    {"self_attn.v_proj", "attn_v", Part::v, Size::kv, Size::hidden},
    {"self_attn.o_proj", "attn_output", Part::o, Size::hidden, Size::q},
    {"post_attention_layernorm", "ffn_norm", Part::norm, Size::hidden, Size::none},
    {"mlp.gate_proj", "ffn_gate", Part::mlp, Size::intermediate, Size::hidden},
    {"mlp.up_proj", "ffn_up", Part::mlp, Size::intermediate, Size::hidden},
    {"mlp.down_proj", "ffn_down", Part::mlp, Size::hidden, Size::intermediate},
};

int64_t size_of(const ModelConfig& config, Size size) {
  switch (size) {
    case Size::none:
      return 0;
    case Size::hidden:
      return config.hidden_size;
    case Size::intermediate:
      return config.intermediate_size;
    case Size::q:
      return config.num_attention_heads * config.head_dim;
    case Size::kv:
      return config.num_key_value_heads * config.head_dim;
  }
  return 0;
}

bool has_bias(const ModelConfig& config, Part part) {
  switch (part) {
    case Part::norm:
      return false;
    case Part::q:
    case Part::k:
    case Part::v:
      return config.attention_bias;
    case Part::o:
      return config.attention_output_bias;
    case Part::mlp:
      return config.mlp_bias;
  }
  return false;
}

int64_t rotary_heads(const ModelConfig& config, Part part) {
  if (part == Part::q) return config.num_attention_heads;
  if (part == Part::k) return config.num_key_value_heads;
  return 0;
}

}  // namespace

std::vector<ExpectedWeight> expected_weights(const ModelConfig& config) {
  std::vector<ExpectedWeight> out;
  const Shape table = {config.vocab_size, config.hidden_size};
  out.push_back({"model.embed_tokens.weight", "token_embd.weight", table, WeightKind::embedding});
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const BlockRow& row : kBlock) {
      const std::string hf = fmt::format("model.layers.{}.{}", layer, row.hf);
      const std::string gguf = fmt::format("blk.{}.{}", layer, row.gguf);
      const int64_t n = size_of(config, row.out), heads = rotary_heads(config, row.part);
      if (row.part == Part::norm)
        out.push_back({hf + ".weight", gguf + ".weight", {n}, WeightKind::norm, layer});
      else
        out.push_back({hf + ".weight",
                       gguf + ".weight",
                       {n, size_of(config, row.in)},
                       WeightKind::linear,
                       layer,
                       heads});
      if (has_bias(config, row.part))
        out.push_back({hf + ".bias", gguf + ".bias", {n}, WeightKind::bias, layer, heads});
    }
  }
  out.push_back(
      {"model.norm.weight", "output_norm.weight", {config.hidden_size}, WeightKind::norm});
  if (!config.tie_word_embeddings)
    out.push_back({"lm_head.weight", "output.weight", table, WeightKind::head});
  return out;
}

int64_t parameter_count(const ModelConfig& config) {
  int64_t sum = 0;
  for (const ExpectedWeight& spec : expected_weights(config)) sum += numel(spec.shape);
  return sum;
}

int64_t block_linear_weights(const ModelConfig& config) {
  int64_t sum = 0;
  for (const ExpectedWeight& spec : expected_weights(config))
    if (spec.kind == WeightKind::linear) sum += numel(spec.shape);
  return sum;
}

bool is_harmless_extra(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name == "rope_freqs.weight" ||
         name == "rope_factors_long.weight" || name == "rope_factors_short.weight" ||
         name.ends_with(".attn_rot_embd.weight");
}

}  // namespace halftone
