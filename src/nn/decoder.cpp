#include "halftone/nn/decoder.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/ops/attention.h"
#include "halftone/ops/elementwise.h"
#include "halftone/ops/embedding.h"
#include "halftone/ops/key_values.h"
#include "halftone/ops/rms_norm.h"
#include "halftone/ops/swiglu.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
void check_window(const std::optional<int64_t>& window, int64_t tokens, const std::string& what) {
  if (window && tokens > *window)
    throw_error(ErrorKind::recipe,
                "{} is {} tokens, expected at most {}, the sliding window of the model's attention",
                what, tokens, *window);
}

const Slot& BlockSpec::slot(SlotRole role) const {
  for (const Slot& slot : slots)
    if (slot.role == role) return slot;
  throw std::invalid_argument("BlockSpec: the block has no such slot");
}

bool BlockSpec::has(SlotRole role) const {
  return std::ranges::any_of(slots, [&](const Slot& slot) { return slot.role == role; });
}

Var Block::linear(Tape& tape, SlotRole role, const Var& x) {
  if (observer) observer(spec.slot(role), x.value());
  return linears.at(role)->forward(tape, x);
}

Var Block::norm(Tape& tape, SlotRole role, const Var& x) {
  const auto it = norms.find(role);
  return it == norms.end() ? x : rms_norm(x, tape.param(it->second), spec.norm_eps);
}

void Block::visit(const ParamVisitor& visitor) {
  for (const Slot& slot : spec.slots) {
    if (slot.is_norm())
      visitor(norms.at(slot.role));
    else
      linears.at(slot.role)->visit(visitor);
  }
}

void Decoder::visit(const ParamVisitor& visitor) {
  visitor(embedding);
  for (Block& b : blocks) b.visit(visitor);
  visitor(final_norm);
  if (head.value.defined()) visitor(head);
}

void Decoder::visit_linears(const std::function<void(std::unique_ptr<LinearLike>&)>& visitor) {
  for (Block& b : blocks)
    for (const Slot& slot : b.spec.slots)
      if (!slot.is_norm()) visitor(b.linears.at(slot.role));
}

const RotaryTable& Decoder::rotary_table(int64_t context, DType dtype) {
  if (!table_.cos.defined() || table_.cos.dim(0) != context || table_.cos.dtype() != dtype) {
    check_window(spec.sliding_window, context, "the context");
    table_ = make_rotary_table(context, spec.frequencies(context), dtype);
  }
  return table_;
}

Var Decoder::embed(Tape& tape, const std::vector<int32_t>& ids) {
  return halftone::embedding(ids, tape.param(embedding));
}

Var Decoder::attend(Tape& tape, Block& b, const Var& x, int64_t batch, size_t index,
                    KeyValueCache* cache) {
  const int64_t length = x.dim(0) / batch, first = cache ? cache->position : 0;
  require(!cache || first + length <= cache->capacity, "KeyValueCache: {} tokens, capacity {}",
          first + length, cache ? cache->capacity : 0);
  const RotaryTable& table = rotary_table(cache ? cache->capacity : length, x.dtype());
  const auto heads = [&](SlotRole role, SlotRole norm, int64_t count) {
    return rotary(b.norm(tape, norm, b.linear(tape, role, x)), table, count, length, first);
  };
  const Var q = heads(SlotRole::q, SlotRole::q_norm, b.spec.heads);
  Var k = heads(SlotRole::k, SlotRole::k_norm, b.spec.key_value_heads);
  Var v = b.linear(tape, SlotRole::v, x);
  if (cache) {
    KeyValues& kv = cache->blocks[index];
    append_key_values(k.value(), batch, first, cache->capacity, kv.keys);
    append_key_values(v.value(), batch, first, cache->capacity, kv.values);
    k = tape.constant(kv.keys);
    v = tape.constant(kv.values);
  }
  const Var mixed = attention(q, k, v,
                              {.batch = batch,
                               .query_length = length,
                               .key_length = first + length,
                               .heads = b.spec.heads,
                               .key_value_heads = b.spec.key_value_heads,
                               .head_dim = b.spec.head_dim,
                               .key_capacity = cache ? cache->capacity : 0});
  return b.linear(tape, SlotRole::o, mixed);
}

Var Decoder::block(Tape& tape, size_t index, const Var& x, int64_t batch, KeyValueCache* cache) {
  Block& b = blocks[index];
  const Var attended =
      add(x, attend(tape, b, b.norm(tape, SlotRole::attention_norm, x), batch, index, cache));
  const Var normed = b.norm(tape, SlotRole::mlp_norm, attended);
  const Var gated =
      swiglu(b.linear(tape, SlotRole::gate, normed), b.linear(tape, SlotRole::up, normed));
  return add(attended, b.linear(tape, SlotRole::down, gated));
}

Var Decoder::normalise(Tape& tape, const Var& x) {
  return rms_norm(x, tape.param(final_norm), spec.norm_eps);
}

Var Decoder::head_weight(Tape& tape) {
  return tape.param(head.value.defined() ? head : embedding);
}

Var Decoder::hidden(Tape& tape, const std::vector<int32_t>& ids, int64_t batch,
                    KeyValueCache* cache) {
  require(batch > 0 && ids.size() % static_cast<size_t>(batch) == 0,
          "Decoder: {} ids in {} sequences", ids.size(), batch);
  Var x = embed(tape, ids);
  for (size_t i = 0; i < blocks.size(); ++i) x = block(tape, i, x, batch, cache);
  if (cache) cache->position += static_cast<int64_t>(ids.size()) / batch;
  return normalise(tape, x);
}

Tensor Decoder::logits(const Tensor& hidden) {
  const Tensor& weight = (head.value.defined() ? head : embedding).value;
  Tensor out = Tensor::uninitialized({hidden.dim(0), weight.dim(0)}, DType::f32);
  gemm(Transpose::no, Transpose::yes, hidden, weight, 0, out);
  return out;
}

KeyValueCache Decoder::make_cache(int64_t batch, int64_t capacity) const {
  check_window(spec.sliding_window, capacity, "the context");
  KeyValueCache cache{.capacity = capacity, .position = 0, .blocks = {}};
  for (const Block& b : blocks) {
    const Shape size{batch * b.spec.key_value_heads * capacity, b.spec.head_dim};
    cache.blocks.push_back(
        {Tensor::uninitialized(size, DType::f32), Tensor::uninitialized(size, DType::f32)});
  }
  return cache;
}

}  // namespace halftone
