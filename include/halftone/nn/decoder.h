// A Llama-style decoder: embeddings, blocks of attention and gated MLP with norms in front, a final
// norm and a head. Its linears are LinearLike, so teacher and student are the same code.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/nn/linear.h"
#include "halftone/ops/rotary.h"

namespace halftone {

struct DecoderShape {
  int64_t hidden_size = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  double rms_norm_eps = 1e-5;
  std::function<RotaryFrequencies(int64_t context)> frequencies;  // head_dim / 2 of them
  std::optional<int64_t> sliding_window;                          // tokens
};

// Attention here is over the whole context, which is the model's as long as it fits into its
// window. Throws Error(recipe) with both figures when `tokens` are more, `what` naming them:
// "eval.context".
void check_window(const std::optional<int64_t>& window, int64_t tokens, const std::string& what);

// Keys and values of one block, B*G*capacity x D each, filled up to the cache's position.
struct KeyValues {
  Tensor keys, values;
};

struct KeyValueCache {
  int64_t capacity = 0;
  int64_t position = 0;  // tokens already in it
  std::vector<KeyValues> blocks;
};

struct Block {
  Param input_norm;
  std::unique_ptr<LinearLike> q, k, v, o;
  Param post_attention_norm;
  std::unique_ptr<LinearLike> gate, up, down;

  void visit(const ParamVisitor& visitor);
  // q, k, v, o, gate, up, down: what gets quantised.
  std::array<std::unique_ptr<LinearLike>*, 7> linears() {
    return {&q, &k, &v, &o, &gate, &up, &down};
  }
};

// The context is the number of tokens that the rotary frequencies are made for, where these depend
// on it: the length of the sequences without a cache, the capacity of the cache with one. A model
// thus computes the same for the tokens of a sequence however they are fed. A context longer than
// shape.sliding_window throws Error(recipe).
class Decoder {
 public:
  DecoderShape shape;
  Param embedding;  // V x C
  std::vector<Block> blocks;
  Param final_norm;  // C
  Param head;        // V x C; undefined value: tied to the embedding

  // ids are B sequences of equal length, one after another; activations are (B*T x C).
  Var embed(Tape& tape, const std::vector<int32_t>& ids);
  Var block(Tape& tape, size_t index, const Var& x, int64_t batch, KeyValueCache* cache = nullptr);
  Var normalise(Tape& tape, const Var& x);
  Var head_weight(Tape& tape);

  // All of the above up to the final norm; with a cache, ids follow what is in it.
  Var hidden(Tape& tape, const std::vector<int32_t>& ids, int64_t batch,
             KeyValueCache* cache = nullptr);

  KeyValueCache make_cache(int64_t batch, int64_t capacity) const;

  // Every parameter, in an order that depends on nothing but the architecture.
  void visit(const ParamVisitor& visitor);

 private:
  const RotaryTable& rotary_table(int64_t context, DType dtype);
  Var attend(Tape& tape, Block& b, const Var& x, int64_t batch, size_t index, KeyValueCache* cache);

  RotaryTable table_;
};

}  // namespace halftone
