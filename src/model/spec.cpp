// The list of parameters that a DecoderSpec stands for.
#include "halftone/model/spec.h"

namespace halftone {
namespace {

using List = std::vector<ExpectedWeight>;

void add(const OuterNames& names, Shape shape, ParamRole role, List& out, int64_t layer = -1) {
  out.push_back({names.hf + ".weight", names.gguf + ".weight", std::move(shape), role, layer});
}

void add_bias(const OuterNames& names, int64_t size, List& out, int64_t layer = -1) {
  out.push_back({names.hf + ".bias", names.gguf + ".bias", {size}, ParamRole::bias, layer});
}

void add_norm(const OuterNames& names, const NormSpec& norm, int64_t size, List& out,
              int64_t layer = -1) {
  if (!norm.affine) return;
  add(names, {size}, ParamRole::norm, out, layer);
  out.back().gguf_offset = norm.gain_offset;
  if (norm.has_bias()) add_bias(names, size, out, layer);
}

void add_linear(const Slot& slot, int64_t layer, List& out) {
  const OuterNames names{slot.hf, slot.gguf};
  add(names, {slot.out, slot.in}, ParamRole::weight, out, layer);
  out.back().rotary_heads = slot.rotary_heads;
  if (!slot.bias) return;
  add_bias(names, slot.out, out, layer);
  out.back().rotary_heads = slot.rotary_heads;
}

void add_block(const BlockSpec& block, int64_t layer, List& out) {
  for (const Slot& slot : block.slots)
    if (slot.is_norm())
      add_norm({slot.hf, slot.gguf}, block.norm, slot.out, out, layer);
    else
      add_linear(slot, layer, out);
}

}  // namespace

List expected_weights(const DecoderSpec& spec) {
  List out;
  const int64_t c = spec.hidden_size, e = spec.embedding_size;
  const Shape table{spec.vocab_size, e};
  add(spec.embedding, table, ParamRole::embedding, out);
  if (spec.positions)
    add(spec.positions->names, {spec.positions->rows, c}, ParamRole::embedding, out);
  if (spec.projections) add(spec.projections->in, {c, e}, ParamRole::weight, out);
  for (size_t i = 0; i < spec.blocks.size(); ++i)
    add_block(spec.blocks[i], static_cast<int64_t>(i), out);
  if (spec.final_norm) add_norm(*spec.final_norm, spec.norm, c, out);
  if (spec.projections) add(spec.projections->out, {e, c}, ParamRole::weight, out);
  if (spec.head) add(*spec.head, table, ParamRole::embedding, out);
  return out;
}

int64_t parameter_count(const DecoderSpec& spec) {
  int64_t sum = 0;
  for (const ExpectedWeight& weight : expected_weights(spec)) sum += numel(weight.shape);
  return sum;
}

int64_t block_linear_weights(const DecoderSpec& spec) {
  int64_t sum = 0;
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots) sum += slot.out * slot.in;
  return sum;
}

bool is_harmless_extra(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name == "rope_freqs.weight" ||
         name == "rope_factors_long.weight" || name == "rope_factors_short.weight" ||
         name.ends_with(".attn_rot_embd.weight");
}

}  // namespace halftone
