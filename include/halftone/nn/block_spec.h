// What a decoder is made of: the names and sizes of its parameters, and what is computed with them.
// A family of models writes this down once (model/families); building, random weights, import,
// export, footprint, planning, calibration and norm tweaking derive from it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "halftone/ops/rotary.h"

namespace halftone {

// The places of a block. Norms stand where a block has them.
enum class SlotRole {
  attention_norm,
  q,
  q_norm,  // of each head
  k,
  k_norm,
  v,
  o,
  mlp_norm,
  gate,
  up,
  down,
};

// A linear or a norm of one block, with its bias where it has one.
struct Slot {
  SlotRole role;
  std::string hf;    // model.layers.3.self_attn.q_proj; its tensors are <hf>.weight and <hf>.bias
  std::string gguf;  // blk.3.attn_q
  int64_t out = 0;   // O; of a norm, its numbers
  int64_t in = 0;    // I; 0: a norm
  int input_group = 0;  // linears of a block with the same input share it
  bool bias = false;
  // q and k: heads whose rows a GGUF of architecture llama orders in pairs (row 2i + p of a head is
  // Hugging Face's row p head_dim/2 + i). 0 for all others.
  int64_t rotary_heads = 0;

  bool is_norm() const { return in == 0; }
};

struct BlockSpec {
  std::vector<Slot> slots;  // in the order in which their parameters are visited
  double norm_eps = 1e-5;
  int64_t heads = 0;
  int64_t key_value_heads = 0;  // divides heads
  int64_t head_dim = 0;

  bool has(SlotRole role) const;
  const Slot& slot(SlotRole role) const;  // throws std::invalid_argument where there is none
};

// An embedding, a head or a norm outside the blocks.
struct OuterNames {
  std::string hf, gguf;  // model.norm, output_norm; the tensor is <name>.weight
};

struct DecoderSpec {
  int64_t hidden_size = 0;
  int64_t vocab_size = 0;
  OuterNames embedding, final_norm;
  std::optional<OuterNames> head;  // none: tied to the embedding
  double norm_eps = 1e-5;
  std::vector<BlockSpec> blocks;
  std::function<RotaryFrequencies(int64_t context)> frequencies;  // head_dim / 2 of them
  std::optional<int64_t> sliding_window;                          // tokens
};

}  // namespace halftone
