// The parameters of a model: one table of their names in Hugging Face's and GGUF's spelling, their
// shapes and what they are. Everywhere in Halftone a parameter has its Hugging Face name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/model/config.h"

namespace halftone {

enum class WeightKind {
  embedding,  // model.embed_tokens.weight
  norm,
  linear,  // of a block: q, k, v, o, gate, up, down; what gets quantised
  bias,    // of such a linear
  head,    // lm_head.weight
};

struct ExpectedWeight {
  std::string name;       // model.layers.3.self_attn.q_proj.weight
  std::string gguf_name;  // blk.3.attn_q.weight
  Shape shape;            // [out, in], or [n]
  WeightKind kind;
  int64_t layer = -1;  // -1: outside the blocks
  // q and k, weights and biases: heads whose rows a GGUF of architecture llama orders in pairs
  // (row 2i + p of a head is Hugging Face's row p head_dim/2 + i). 0 for all others.
  int64_t rotary_heads = 0;
};

// Every parameter that a model of this configuration has, once each: embedding; for each layer
// input norm, q, k, v, o (bias behind weight), post-attention norm, gate, up, down; final norm;
// head unless it is tied.
std::vector<ExpectedWeight> expected_weights(const ModelConfig& config);

int64_t parameter_count(const ModelConfig& config);
// Weights of the blocks' linears, without biases: what gets quantised.
int64_t block_linear_weights(const ModelConfig& config);

// Tensors that files hold beside the parameters and that carry no information of their own.
bool is_harmless_extra(std::string_view hf_or_gguf_name);

}  // namespace halftone
