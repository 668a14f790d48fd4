// A decoder's parameters to and from tensors under their names.
#include "halftone/model/build.h"

#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/base/threads.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

constexpr std::initializer_list<DType> kVector = {DType::f32, DType::f16, DType::bf16, DType::f64};
constexpr std::initializer_list<DType> kMatrix = {DType::f32, DType::f16};
// Of what is looked up by ids, or multiplied by as a head.
constexpr std::initializer_list<DType> kTable = {DType::f32, DType::f16, DType::q8_0};

// Takes tensors by name and checks their shapes and dtypes.
class Source {
 public:
  explicit Source(const Weights& weights) : weights_(weights) {}

  Tensor find(const std::string& name) const {
    const auto it = weights_.find(name);
    return it == weights_.end() ? Tensor() : it->second;
  }
  Param take(const std::string& name, const Shape& expected, ParamRole role,
             std::initializer_list<DType> dtypes) const {
    Tensor value = find(name);
    if (!value.defined())
      throw_error(ErrorKind::format, "model: tensor '{}' is missing, shape {} expected", name,
                  shape_text(expected));
    if (value.shape() != expected)
      throw_error(ErrorKind::format, "model: tensor '{}' has shape {}, expected {}", name,
                  shape_text(value.shape()), shape_text(expected));
    expect_dtype(value, name, dtypes);
    if (expected.size() == 1) value = value.to(DType::f32);
    return {.name = name, .value = std::move(value), .grad = {}, .role = role};
  }

 private:
  const Weights& weights_;
};

std::unique_ptr<LinearLike> build_linear(const Source& from, const Slot& slot,
                                         const LinearForms& forms) {
  const auto form = forms.find(slot.hf);
  return linear_of(form == forms.end() ? "" : form->second, slot.hf, slot.out, slot.in,
                   [&](const std::string& part) { return from.find(slot.hf + "." + part); });
}

Norm build_norm(const Source& from, const NormSpec& spec, const std::string& name, int64_t size) {
  Norm norm{.spec = spec, .gain = {}, .bias = {}};
  if (spec.affine) norm.gain = from.take(name + ".weight", {size}, ParamRole::norm, kVector);
  if (spec.has_bias()) norm.bias = from.take(name + ".bias", {size}, ParamRole::bias, kVector);
  return norm;
}

Block build_block(const Source& from, const BlockSpec& spec, const LinearForms& forms) {
  Block block;
  block.spec = spec;
  for (const Slot& slot : spec.slots) {
    if (slot.is_norm())
      block.norms[slot.role] = build_norm(from, spec.norm, slot.hf, slot.out);
    else
      block.linears[slot.role] = build_linear(from, slot, forms);
  }
  return block;
}

}  // namespace

Decoder build_decoder(const DecoderSpec& spec, const Weights& weights, const LinearForms& forms) {
  const Source from(weights);
  const int64_t c = spec.hidden_size, e = spec.embedding_size;
  const Shape table{spec.vocab_size, e};
  const auto take = [&](const OuterNames& names, const Shape& shape, ParamRole role,
                        std::initializer_list<DType> dtypes) {
    return from.take(names.hf + ".weight", shape, role, dtypes);
  };
  Decoder decoder;
  decoder.spec = spec;
  decoder.embedding = take(spec.embedding, table, ParamRole::embedding, kTable);
  if (const auto& positions = spec.positions)
    decoder.positions = take(positions->names, {positions->rows, c}, ParamRole::embedding, kMatrix);
  if (spec.projections) {
    decoder.project_in = take(spec.projections->in, {c, e}, ParamRole::weight, kMatrix);
    decoder.project_out = take(spec.projections->out, {e, c}, ParamRole::weight, kMatrix);
  }
  for (const BlockSpec& block : spec.blocks)
    decoder.blocks.push_back(build_block(from, block, forms));
  if (spec.final_norm) decoder.final_norm = build_norm(from, spec.norm, spec.final_norm->hf, c);
  if (spec.head) decoder.head = take(*spec.head, table, ParamRole::embedding, kTable);
  return decoder;
}

Weights trainable_copy(const Weights& weights) {
  Weights out;
  for (const auto& [name, tensor] : weights)
    out[name] = tensor.dtype() == DType::f32 ? tensor.clone() : tensor.to(DType::f32);
  return out;
}

Weights random_weights(const DecoderSpec& spec, uint64_t seed) {
  const std::vector<ExpectedWeight> expected = expected_weights(spec);
  std::vector<Tensor> values(expected.size());
  parallel_for(static_cast<int64_t>(expected.size()), 1, [&](int64_t index, int64_t) {
    const ExpectedWeight& weight = expected[index];
    const double start = weight.role == ParamRole::norm ? 1 - weight.gguf_offset : 0;
    Tensor value = Tensor::full(weight.shape, DType::f32, start);
    Rng rng(seed, (static_cast<uint64_t>(RngStream::init) << 32) + static_cast<uint64_t>(index));
    if (weight.shape.size() == 2) fill_normal(value, 0.02, rng);
    values[index] = value;
  });
  Weights out;
  for (size_t i = 0; i < expected.size(); ++i) out[expected[i].name] = values[i];
  return out;
}

Weights weights_of(Decoder& decoder) {
  Weights out;
  decoder.visit([&](Param& param) { out[param.name] = param.value; });
  return out;
}

Weights weights_beside_linears(Decoder& decoder) {
  Weights out = weights_of(decoder);
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    linear->visit([&](Param& param) { out.erase(param.name); });
  });
  return out;
}

std::unique_ptr<LinearLike> stored_linear(const LinearLike& linear, const Slot& slot) {
  const Weights stored = linear.stored();
  const Source from(stored);
  return linear_of(linear.form(), slot.hf, slot.out, slot.in,
                   [&](const std::string& part) { return from.find(slot.hf + "." + part); });
}

Weights packed_weights(Decoder& decoder) {
  Weights out = weights_beside_linears(decoder);
  for (auto& [name, tensor] : out)
    if (tensor.rank() == 2) tensor = to_f16_where_it_fits(tensor);
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) { out.merge(linear->stored()); });
  return out;
}

LinearForms linear_forms(Decoder& decoder) {
  LinearForms out;
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    if (std::string form = linear->form(); !form.empty()) out[linear->name] = std::move(form);
  });
  return out;
}

}  // namespace halftone
