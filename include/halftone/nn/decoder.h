// A decoder: embeddings, blocks of attention and MLP with norms, a final norm and a head, as its
// DecoderSpec says. Its linears are LinearLike, so teacher and student are the same code.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/nn/block_spec.h"
#include "halftone/nn/linear.h"
#include "halftone/nn/norm.h"

namespace halftone {

// Throws Error(recipe) with both figures when `tokens` are more than the model has positions for,
// `what` naming them: "eval.context".
void check_context(const DecoderSpec& spec, int64_t tokens, const std::string& what);

// Keys and values of one block, B*G*capacity x D each, filled up to the cache's position.
struct KeyValues {
  Tensor keys, values;
};

struct KeyValueCache {
  int64_t capacity = 0;
  int64_t position = 0;  // tokens already in it
  std::vector<KeyValues> blocks;
};

// The parameters of one block, each in its place.
class Block {
 public:
  BlockSpec spec;
  std::map<SlotRole, std::unique_ptr<LinearLike>> linears;
  std::map<SlotRole, Norm> norms;
  // Sees the input of each linear before it is used, for calibration.
  std::function<void(const Slot& slot, const Tensor& x)> observer;

  Var linear(Tape& tape, SlotRole role, const Var& x);
  // Of several roles that read one x, in their order.
  std::vector<Var> linear(Tape& tape, std::initializer_list<SlotRole> roles, const Var& x);
  // Of the same as one product: its columns, in the order of the roles (N x sum of outputs). An
  // undefined Var where that is not possible, or, as on the CPU, not faster.
  Var joined(Tape& tape, std::initializer_list<SlotRole> roles, const Var& x);
  Var norm(Tape& tape, SlotRole role, const Var& x);  // x itself where the block has none
  // plus + norm(linear(x)).
  Var add_to(Tape& tape, const Var& plus, SlotRole linear, SlotRole norm, const Var& x);
  // plus + norm(the last linear of the MLP, of what the others make of x).
  Var add_mlp(Tape& tape, const Var& plus, const Var& x);
  void visit(const ParamVisitor& visitor);  // in the order of spec.slots
  void move_to(Device device);              // its parameters; gradients are forgotten

 private:
  // The matrices of the linears as parts of one product; empty where joined() gives nothing.
  MadeMatrices matrices(Tape& tape, std::initializer_list<SlotRole> roles, Device device);
};

// The context is the number of tokens that the rotary frequencies are made for, where these depend
// on it: the length of the sequences without a cache, the capacity of the cache with one. A model
// thus computes the same for the tokens of a sequence however they are fed. A context that is too
// long throws Error(recipe), as check_context does.
class Decoder {
 public:
  DecoderSpec spec;
  // An undefined value where the spec has no such part.
  Param embedding;   // V x E
  Param positions;   // its rows x C
  Param project_in;  // C x E
  std::vector<Block> blocks;
  std::optional<Norm> final_norm;
  Param project_out;  // E x C
  Param head;         // V x E
  // Of hidden states: BF16 on a GPU where speed counts more than the last digits. Sums, norms'
  // statistics, losses and the gradients of parameters stay F32.
  DType activations = DType::f32;
  // Where blocks are in parts (train/block_shards.h): the block's parameters are there as long as
  // the handle lives. Empty: always.
  std::function<std::shared_ptr<void>(size_t index)> hold_block;

  // ids are B sequences of equal length, one after another, from `first_position` on; activations
  // are (B*T x C).
  Var embed(Tape& tape, const std::vector<int32_t>& ids, int64_t batch, int64_t first_position = 0);
  Var block(Tape& tape, size_t index, const Var& x, int64_t batch, KeyValueCache* cache = nullptr);
  Var normalise(Tape& tape, const Var& x);  // what the head reads (B*T x E)
  Var head_weight(Tape& tape);

  // All of the above up to the head; with a cache, ids follow what is in it.
  Var hidden(Tape& tape, const std::vector<int32_t>& ids, int64_t batch,
             KeyValueCache* cache = nullptr);

  // Logits (N x V) of rows of hidden states (N x E), without gradients.
  Tensor logits(const Tensor& hidden);

  // Logits (B x V) behind the last token of each sequence; `ids` follow what is in the cache, one a
  // sequence or any number of a single one.
  Tensor next_logits(const std::vector<int32_t>& ids, int64_t batch, KeyValueCache& cache);

  // What the head multiplies by: its own matrix, or the embedding where the two are tied.
  const Param& head_param() const { return head.value.defined() ? head : embedding; }

  // Of F16, half the memory is read for each token, and keys and values are rounded. Of BF16 where
  // hidden states are.
  KeyValueCache make_cache(int64_t batch, int64_t capacity, DType dtype = DType::f32) const;

  // Moves the parameters to a device. With `matrices`, weights and embeddings are converted to it,
  // and weights of linears of one input lie one behind the other: of a model that is not trained.
  void move_to(Device device, std::optional<DType> matrices = {});

  // Every parameter, in an order that depends on nothing but the architecture.
  void visit(const ParamVisitor& visitor);
  // Every linear of the blocks: what gets quantised.
  void visit_linears(const std::function<void(std::unique_ptr<LinearLike>&)>& visitor);

 private:
  const RotaryTable& rotary_table(const Block& b, const Var& x, int64_t length,
                                  const KeyValueCache* cache);
  Var attend(Tape& tape, Block& b, const Var& x, int64_t batch, size_t index, KeyValueCache* cache);

  std::vector<RotaryTable> tables_;  // of spec.frequencies
};

}  // namespace halftone
