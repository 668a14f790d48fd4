// What a model of a configuration is made of, and the list of its parameters that follows.
// Everywhere in Halftone a parameter has its Hugging Face name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/autograd/tape.h"
#include "halftone/model/config.h"
#include "halftone/nn/block_spec.h"

namespace halftone {

// As the model's family says (model/families).
DecoderSpec decoder_spec(const ModelConfig& config);

struct ExpectedWeight {
  std::string name;       // model.layers.3.self_attn.q_proj.weight
  std::string gguf_name;  // blk.3.attn_q.weight
  Shape shape;            // [out, in], or [n]
  ParamRole role;
  int64_t layer = -1;        // -1: outside the blocks
  int64_t rotary_heads = 0;  // Slot::rotary_heads
  double gguf_offset = 0;    // what a GGUF file holds more than the number
};

// Every parameter of a model, once each: embedding, positions, the projection into the blocks; for
// each block its slots in order, a bias behind its weight; final norm, the projection out, head
// unless it is tied.
std::vector<ExpectedWeight> expected_weights(const DecoderSpec& spec);

int64_t parameter_count(const DecoderSpec& spec);
// Weights of the blocks' linears, without biases: what gets quantised.
int64_t block_linear_weights(const DecoderSpec& spec);

// Tensors that files hold beside the parameters and that carry no information of their own.
bool is_harmless_extra(std::string_view hf_or_gguf_name);

}  // namespace halftone
