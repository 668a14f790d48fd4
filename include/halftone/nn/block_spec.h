// What a decoder is made of: the names and sizes of its parameters, and what is computed with them.
// A family of models writes this down once (model/families); building, random weights, import,
// export, footprint, planning, calibration and norm tweaking derive from it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "halftone/ops/activation.h"
#include "halftone/ops/rotary.h"

namespace halftone {

// The places of a block. Norms, and the gate, stand where a block has them.
enum class SlotRole {
  attention_norm,  // of what attention reads
  q,
  q_norm,  // of each head
  k,
  k_norm,
  v,
  o,
  attention_out_norm,  // of what attention gives, before it is added
  attention_sum_norm,  // of the sum
  mlp_norm,
  gate,
  up,
  down,
  mlp_out_norm,
  mlp_sum_norm,
};

// A norm of rows: the root mean square's (ops/rms_norm.h), or that of mean and variance
// (ops/layer_norm.h).
struct NormSpec {
  enum class Kind { rms, layer };
  Kind kind = Kind::rms;
  double eps = 1e-5;
  double gain_offset = 0;  // rms: what the gain is stored without; a GGUF holds the sum
  bool affine = true;      // layer: with a gain and a bias; an rms norm always has its gain

  bool has_bias() const { return kind == Kind::layer && affine; }
};

// A linear or a norm of one block, with its bias where it has one.
struct Slot {
  SlotRole role;
  std::string hf;    // model.layers.3.self_attn.q_proj; its tensors are <hf>.weight and <hf>.bias
  std::string gguf;  // blk.3.attn_q
  int64_t out = 0;   // O; of a norm, its numbers
  int64_t in = 0;    // I; 0: a norm
  int input_group = 0;  // linears of a block with the same input share it
  bool bias = false;    // of a linear; a norm's is its NormSpec's
  // q and k: heads whose rows a GGUF of architecture llama orders in pairs (row 2i + p of a head is
  // Hugging Face's row p head_dim/2 + i). 0 for all others.
  int64_t rotary_heads = 0;

  bool is_norm() const { return in == 0; }
};

struct BlockSpec {
  std::vector<Slot> slots;  // in the order in which their parameters are visited
  NormSpec norm;            // of each of its norms
  int64_t heads = 0;
  int64_t key_value_heads = 0;  // divides heads
  int64_t head_dim = 0;
  double attention_scale = 0;        // 0: 1 / sqrt(head_dim)
  int64_t window = 0;                // the latest tokens, itself included, that one sees; 0: all
  std::optional<size_t> rotary = 0;  // of DecoderSpec::frequencies; none: heads are not turned
  Activation activation = Activation::silu;

  bool has(SlotRole role) const;
  const Slot& slot(SlotRole role) const;  // throws std::invalid_argument where there is none
};

// An embedding, a head, a norm or a linear outside the blocks.
struct OuterNames {
  std::string hf, gguf;  // model.norm, output_norm; the tensor is <name>.weight
};

// A vector for each position, added to the embeddings.
struct LearnedPositions {
  OuterNames names;
  int64_t rows = 0;
  int64_t offset = 0;  // the row of the first position
};

// Between the embedding and the blocks, and between the final norm and the head, where these are of
// another width: linears without a bias, which are not quantised.
struct Projections {
  OuterNames in, out;  // C x E and E x C
};

using FrequencyFunction = std::function<RotaryFrequencies(int64_t context)>;

struct DecoderSpec {
  int64_t hidden_size = 0;  // C
  int64_t vocab_size = 0;   // V
  OuterNames embedding;
  int64_t embedding_size = 0;  // E, of its rows and the head's
  double embedding_scale = 1;
  std::optional<LearnedPositions> positions;
  std::optional<Projections> projections;
  std::optional<OuterNames> final_norm;
  NormSpec norm;                   // of the final one
  std::optional<OuterNames> head;  // none: tied to the embedding
  std::vector<BlockSpec> blocks;
  std::vector<FrequencyFunction> frequencies;  // each head_dim / 2 of them

  // Tokens that it has positions for; none: any number.
  std::optional<int64_t> longest_context() const;
};

}  // namespace halftone
