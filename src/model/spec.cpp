// The list of parameters that a DecoderSpec stands for.
#include "halftone/model/spec.h"

namespace halftone {
namespace {

ExpectedWeight outer(const OuterNames& names, Shape shape, ParamRole role) {
  return {names.hf + ".weight", names.gguf + ".weight", std::move(shape), role};
}

void add_slot(const Slot& slot, int64_t layer, std::vector<ExpectedWeight>& out) {
  const Shape shape = slot.is_norm() ? Shape{slot.out} : Shape{slot.out, slot.in};
  out.push_back({slot.hf + ".weight", slot.gguf + ".weight", shape,
                 slot.is_norm() ? ParamRole::norm : ParamRole::weight, layer, slot.rotary_heads});
  if (slot.bias)
    out.push_back({slot.hf + ".bias",
                   slot.gguf + ".bias",
                   {slot.out},
                   ParamRole::bias,
                   layer,
                   slot.rotary_heads});
}

}  // namespace

std::vector<ExpectedWeight> expected_weights(const DecoderSpec& spec) {
  std::vector<ExpectedWeight> out;
  const Shape table{spec.vocab_size, spec.hidden_size};
  out.push_back(outer(spec.embedding, table, ParamRole::embedding));
  for (size_t i = 0; i < spec.blocks.size(); ++i)
    for (const Slot& slot : spec.blocks[i].slots) add_slot(slot, static_cast<int64_t>(i), out);
  out.push_back(outer(spec.final_norm, {spec.hidden_size}, ParamRole::norm));
  if (spec.head) out.push_back(outer(*spec.head, table, ParamRole::embedding));
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
