// What a directory in Hugging Face's layout has to hold, linears of full precision or OneBit's.
#include "onebit_layout.h"

#include "halftone/base/rounding.h"

namespace halftone {
namespace {

void add_onebit(const Slot& slot, const Safetensors& file, std::vector<HfTensor>& out) {
  using namespace onebit_layout;
  const std::string weight = slot.hf + kWeight;
  const auto add = [&](const std::string& in_file, Shape shape, ParamRole role,
                       const std::string& part, std::optional<DType> dtype = {}) {
    out.push_back({{in_file, "", std::move(shape), role}, slot.hf + part, dtype});
  };
  if (file.int8.contains(weight))
    add(weight, {slot.out, divide_up(slot.in, 8)}, ParamRole::latent, ".sign", DType::u8);
  else
    add(weight, {slot.out, slot.in}, ParamRole::latent, ".weight");
  add(slot.hf + kOutScale, {slot.out}, ParamRole::scale, ".out_scale");
  add(slot.hf + kInScale, {slot.in}, ParamRole::scale, ".in_scale");
}

}  // namespace

std::vector<HfTensor> dense_tensors(const DecoderSpec& spec) {
  std::vector<HfTensor> out;
  for (const ExpectedWeight& weight : expected_weights(spec)) out.push_back({weight, weight.name});
  return out;
}

std::vector<HfTensor> unquantised_tensors(const DecoderSpec& spec) {
  std::vector<HfTensor> out = dense_tensors(spec);
  std::erase_if(out,
                [](const HfTensor& tensor) { return tensor.in_file.role == ParamRole::weight; });
  return out;
}

std::vector<HfTensor> onebit_tensors(const DecoderSpec& spec, const Safetensors& file) {
  std::vector<HfTensor> out = unquantised_tensors(spec);
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots)
      if (!slot.is_norm()) add_onebit(slot, file, out);
  return out;
}

}  // namespace halftone
