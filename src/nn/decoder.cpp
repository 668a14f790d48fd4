// A decoder from its description: what a block does, and blocks one after another.
#include "halftone/nn/decoder.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/ops/activation.h"
#include "halftone/ops/attention.h"
#include "halftone/ops/elementwise.h"
#include "halftone/ops/embedding.h"
#include "halftone/ops/key_values.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

void move(Param& param, Device device) {
  param.value = param.value.to(device);
  param.grad.clear();
}

// The weights of linears of full precision in one storage, row after row.
void lay_together(Block& b, std::initializer_list<SlotRole> roles) {
  std::vector<Param*> weights;
  int64_t rows = 0;
  for (const SlotRole role : roles) {
    auto* linear = dynamic_cast<Linear*>(b.linears.at(role).get());
    if (!linear) return;
    weights.push_back(&linear->weight);
    rows += linear->weight.value.dim(0);
  }
  const Tensor& first = weights.front()->value;
  const Tensor all = Tensor::uninitialized({rows, first.dim(1)}, first.dtype(), first.device());
  int64_t row = 0;
  for (Param* weight : weights) {
    Tensor part = all.rows(row, row + weight->value.dim(0));
    part.copy_from(weight->value);
    weight->value = part;
    row += part.dim(0);
  }
}

}  // namespace

std::optional<int64_t> DecoderSpec::longest_context() const {
  if (!positions) return {};
  return positions->rows - positions->offset;
}

void check_context(const DecoderSpec& spec, int64_t tokens, const std::string& what) {
  if (const auto most = spec.longest_context(); most && tokens > *most)
    throw_error(ErrorKind::recipe,
                "{} is {} tokens, expected at most {}: the model has learned no positions beyond",
                what, tokens, *most);
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

std::vector<Var> Block::linear(Tape& tape, std::initializer_list<SlotRole> roles, const Var& x) {
  std::vector<const PackedWeights*> packed;
  packed.reserve(roles.size());
  for (const SlotRole role : roles)
    if (const auto* weights = linears.at(role)->packed(); weights && !observer)
      packed.push_back(weights);
  if (packed.size() == roles.size()) return packed_linears(x, packed);
  std::vector<Var> out;
  for (const SlotRole role : roles) out.push_back(linear(tape, role, x));
  return out;
}

MadeMatrices Block::matrices(Tape& tape, std::initializer_list<SlotRole> roles, Device device) {
  MadeMatrices out;
  if (device == Device::cpu || observer) return out;
  for (const SlotRole role : roles) {
    out.push_back(linears.at(role)->matrix(tape));
    if (!out.back() || out.back()->op() != out.front()->op()) return {};
  }
  return out;
}

Var Block::joined(Tape& tape, std::initializer_list<SlotRole> roles, const Var& x) {
  const MadeMatrices parts = matrices(tape, roles, x.device());
  return parts.empty() ? Var() : joined_linear(x, parts);
}

Var Block::add_to(Tape& tape, const Var& plus, SlotRole role, SlotRole out_norm, const Var& x) {
  if (!spec.has(out_norm))
    if (const MadeMatrices one = matrices(tape, {role}, x.device()); !one.empty())
      return role == SlotRole::o ? joined_linear_again(x, one, plus) : joined_linear(x, one, plus);
  return add(plus, norm(tape, out_norm, linear(tape, role, x)));
}

Var Block::add_mlp(Tape& tape, const Var& plus, const Var& x) {
  const Activation f = spec.activation;
  const auto added = [&](const Var& y) {
    return add_to(tape, plus, SlotRole::down, SlotRole::mlp_out_norm, y);
  };
  if (!spec.has(SlotRole::gate)) return added(activate(linear(tape, SlotRole::up, x), f));
  const std::initializer_list<SlotRole> roles = {SlotRole::up, SlotRole::gate};
  if (!spec.has(SlotRole::mlp_out_norm))
    if (const MadeMatrices down = matrices(tape, {SlotRole::down}, x.device()),
        both = matrices(tape, roles, x.device());
        !down.empty() && !both.empty())
      return gated_joined_linear(joined_product(x, both), both[0]->norm_eps(), f, down, plus);
  const std::vector<Var> made = linear(tape, roles, x);
  return added(gated(made[1], made[0], f));
}

Var Block::norm(Tape& tape, SlotRole role, const Var& x) {
  const auto it = norms.find(role);
  return it == norms.end() ? x : it->second.forward(tape, x);
}

void Block::visit(const ParamVisitor& visitor) {
  for (const Slot& slot : spec.slots) {
    if (slot.is_norm())
      norms.at(slot.role).visit(visitor);
    else
      linears.at(slot.role)->visit(visitor);
  }
}

void Block::move_to(Device device) {
  visit([&](Param& param) { move(param, device); });
}

void Decoder::visit(const ParamVisitor& visitor) {
  const auto where_there = [&](Param& param) {
    if (param.value.defined()) visitor(param);
  };
  visitor(embedding);
  where_there(positions);
  where_there(project_in);
  for (Block& b : blocks) b.visit(visitor);
  if (final_norm) final_norm->visit(visitor);
  where_there(project_out);
  where_there(head);
}

void Decoder::move_to(Device device, std::optional<DType> matrices) {
  visit([&](Param& param) {
    const bool matrix = param.role == ParamRole::weight || param.role == ParamRole::embedding;
    if (matrices && matrix) param.value = param.value.to(*matrices);
    move(param, device);
  });
  if (!matrices || device == Device::cpu) return;
  for (Block& b : blocks) {
    lay_together(b, {SlotRole::q, SlotRole::k, SlotRole::v});
    if (b.spec.has(SlotRole::gate)) lay_together(b, {SlotRole::up, SlotRole::gate});
  }
}

void Decoder::visit_linears(const std::function<void(std::unique_ptr<LinearLike>&)>& visitor) {
  for (Block& b : blocks)
    for (const Slot& slot : b.spec.slots)
      if (!slot.is_norm()) visitor(b.linears.at(slot.role));
}

// Made again where the context, the dtype or the device is another one.
const RotaryTable& Decoder::rotary_table(const Block& b, const Var& x, int64_t length,
                                         const KeyValueCache* cache) {
  const size_t index = *b.spec.rotary;
  const int64_t context = cache ? cache->capacity : length;
  const DType dtype = sum_dtype(x.dtype());
  tables_.resize(spec.frequencies.size());
  RotaryTable& table = tables_[index];
  if (!table.cos.defined() || table.cos.dim(0) != context || table.cos.dtype() != dtype ||
      table.cos.device() != x.device()) {
    table = make_rotary_table(context, spec.frequencies[index](context), dtype);
    table = {table.cos.to(x.device()), table.sin.to(x.device())};
  }
  return table;
}

Var Decoder::embed(Tape& tape, const std::vector<int32_t>& ids, int64_t batch,
                   int64_t first_position) {
  require(batch > 0 && ids.size() % static_cast<size_t>(batch) == 0,
          "Decoder: {} ids in {} sequences", ids.size(), batch);
  Var x = halftone::embedding(ids, tape.param(embedding));
  if (spec.embedding_scale != 1) x = scale(x, spec.embedding_scale);
  if (spec.projections) x = linear(x, tape.param(project_in));
  if (spec.positions) {
    const int64_t length = static_cast<int64_t>(ids.size()) / batch;
    check_context(spec, first_position + length, "the context");
    x = add_positions(x, tape.param(positions), length, spec.positions->offset + first_position);
  }
  return activations == DType::bf16 ? cast(x, activations) : x;
}

// What the heads of a block mix, before its output linear.
Var Decoder::attend(Tape& tape, Block& b, const Var& x, int64_t batch, size_t index,
                    KeyValueCache* cache) {
  const int64_t length = x.dim(0) / batch, first = cache ? cache->position : 0;
  require(!cache || first + length <= cache->capacity, "KeyValueCache: {} tokens, capacity {}",
          first + length, cache ? cache->capacity : 0);
  const AttentionShape shape{.batch = batch,
                             .query_length = length,
                             .key_length = first + length,
                             .heads = b.spec.heads,
                             .key_value_heads = b.spec.key_value_heads,
                             .head_dim = b.spec.head_dim,
                             .key_capacity = cache ? cache->capacity : 0,
                             .window = b.spec.window,
                             .scale = b.spec.attention_scale};
  const std::initializer_list<SlotRole> roles = {SlotRole::q, SlotRole::k, SlotRole::v};
  const bool normed = b.spec.has(SlotRole::q_norm) || b.spec.has(SlotRole::k_norm);
  if (Var all = cache || normed ? Var() : b.joined(tape, roles, x); all.defined()) {
    if (b.spec.rotary)
      all = rotary(std::move(all), rotary_table(b, x, length, cache),
                   b.spec.heads + b.spec.key_value_heads, length);
    return attention(all, shape);
  }
  const std::vector<Var> qkv = b.linear(tape, roles, x);
  const auto heads = [&](const Var& made, SlotRole norm, int64_t count) {
    const Var y = b.norm(tape, norm, made);
    return b.spec.rotary ? rotary(y, rotary_table(b, x, length, cache), count, length, first) : y;
  };
  const Var q = heads(qkv[0], SlotRole::q_norm, b.spec.heads);
  Var k = heads(qkv[1], SlotRole::k_norm, b.spec.key_value_heads), v = qkv[2];
  if (cache) {
    KeyValues& kv = cache->blocks[index];
    append_key_values(k.value(), batch, first, cache->capacity, kv.keys);
    append_key_values(v.value(), batch, first, cache->capacity, kv.values);
    k = tape.constant(kv.keys);
    v = tape.constant(kv.values);
  }
  return attention(q, k, v, shape);
}

Var Decoder::block(Tape& tape, size_t index, const Var& x, int64_t batch, KeyValueCache* cache) {
  const std::shared_ptr<void> held = hold_block ? hold_block(index) : nullptr;
  Block& b = blocks[index];
  Var y = attend(tape, b, b.norm(tape, SlotRole::attention_norm, x), batch, index, cache);
  y = b.add_to(tape, x, SlotRole::o, SlotRole::attention_out_norm, y);
  const Var attended = b.norm(tape, SlotRole::attention_sum_norm, y);
  y = b.add_mlp(tape, attended, b.norm(tape, SlotRole::mlp_norm, attended));
  return b.norm(tape, SlotRole::mlp_sum_norm, y);
}

Var Decoder::normalise(Tape& tape, const Var& x) {
  const Var y = final_norm ? final_norm->forward(tape, x) : x;
  return spec.projections ? linear(y, tape.param(project_out)) : y;
}

Var Decoder::head_weight(Tape& tape) {
  return tape.param(head.value.defined() ? head : embedding);
}

Var Decoder::hidden(Tape& tape, const std::vector<int32_t>& ids, int64_t batch,
                    KeyValueCache* cache) {
  Var x = embed(tape, ids, batch, cache ? cache->position : 0);
  for (size_t i = 0; i < blocks.size(); ++i) x = block(tape, i, x, batch, cache);
  if (cache) cache->position += static_cast<int64_t>(ids.size()) / batch;
  return normalise(tape, x);
}

Tensor Decoder::logits(const Tensor& hidden) {
  const Tensor& weight = head_param().value;
  Tensor out = Tensor::uninitialized({hidden.dim(0), weight.dim(0)}, DType::f32, hidden.device());
  gemm(Transpose::no, Transpose::yes, hidden, weight, 0, out);
  return out;
}

Tensor Decoder::next_logits(const std::vector<int32_t>& ids, int64_t batch, KeyValueCache& cache) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor all = hidden(tape, ids, batch, &cache).value();
  const int64_t length = all.dim(0) / batch;
  require(batch == 1 || length == 1, "Decoder::next_logits: {} tokens of {} sequences", length,
          batch);
  return logits(length == 1 ? all : all.rows(length - 1, length));
}

KeyValueCache Decoder::make_cache(int64_t batch, int64_t capacity, DType dtype) const {
  check_context(spec, capacity, "the context");
  KeyValueCache cache{.capacity = capacity, .position = 0, .blocks = {}};
  for (const Block& b : blocks) {
    const Shape size{batch * b.spec.key_value_heads * capacity, b.spec.head_dim};
    const Device device = embedding.value.device();
    const DType stored = activations == DType::bf16 ? activations : dtype;
    cache.blocks.push_back(
        {Tensor::uninitialized(size, stored, device), Tensor::uninitialized(size, stored, device)});
  }
  return cache;
}

}  // namespace halftone
