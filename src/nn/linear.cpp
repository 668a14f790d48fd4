// The kinds of linear: how each computes, what it is as a matrix, how it is stored and counted.
#include "halftone/nn/linear.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/nn/coded_linear.h"
#include "halftone/nn/packed_linear.h"
#include "halftone/ops/linear.h"
#include "halftone/quant/coded_form.h"
#include "halftone/tensor/numbers.h"
#include "halftone/tensor/packed_signs.h"

namespace halftone {
namespace {

constexpr const char* kOneBitForm = "onebit";
constexpr const char* kNormedForm = "onebit post_layer_norm";
constexpr const char* kRowForm = "onebit row";
constexpr std::string_view kGroupForm = "onebit group ";  // and the inputs of a group

Param param(std::string name, Tensor value, ParamRole role) {
  return {.name = std::move(name), .value = std::move(value), .grad = {}, .role = role};
}

// A scale is counted as 16 bits, so it is stored in 16 bits or not at all.
Tensor f16_scale(const Tensor& scale, const std::string& name) {
  const Tensor half = scale.to(DType::f16);
  if (const int64_t n = count_non_finite(half))
    throw_error(ErrorKind::numerical, "'{}': {} of its {} numbers are beyond F16's greatest, 65504",
                name, n, half.numel());
  return half;
}

}  // namespace

LinearLike::LinearLike(std::string module, Tensor bias_value)
    : name(std::move(module)),
      bias(param(name + ".bias", std::move(bias_value), ParamRole::bias)) {}

Var LinearLike::bias_or_none(Tape& tape) {
  return bias.value.defined() ? tape.param(bias) : Var();
}

void LinearLike::put_bias(std::map<std::string, Tensor>& out) const {
  if (bias.value.defined()) out[bias.name] = bias.value;
}

std::map<std::string, Tensor> LinearLike::whole_names(
    const std::map<std::string, Tensor>& parts) const {
  std::map<std::string, Tensor> out;
  for (const auto& [part, tensor] : parts) out[name + "." + part] = tensor;
  put_bias(out);
  return out;
}

// --- full precision ----------------------------------------------------------------------------

Linear::Linear(std::string module, Tensor weight_value, Tensor bias_value)
    : LinearLike(std::move(module), std::move(bias_value)),
      weight(param(name + ".weight", std::move(weight_value), ParamRole::weight)) {}

Var Linear::forward(Tape& tape, const Var& x) {
  return linear(x, tape.param(weight), bias_or_none(tape));
}

std::shared_ptr<const MadeMatrix> Linear::matrix(Tape& tape) {
  return bias.value.defined() ? nullptr : dense_matrix(tape.param(weight));
}

void Linear::visit(const ParamVisitor& visitor) {
  visitor(weight);
  if (bias.value.defined()) visitor(bias);
}

Tensor Linear::dense_weight() const {
  return weight.value.to(DType::f32);
}

std::map<std::string, Tensor> Linear::stored() const {
  std::map<std::string, Tensor> out{{weight.name, to_f16_where_it_fits(weight.value)}};
  put_bias(out);
  return out;
}

// --- OneBit ------------------------------------------------------------------------------------

OneBitLinear::OneBitLinear(std::string module, Tensor latent_value, Tensor in_scale_value,
                           Tensor out_scale_value, Tensor bias_value, const OneBitOptions& options)
    : LinearLike(std::move(module), std::move(bias_value)),
      latent(param(name + ".weight", std::move(latent_value), ParamRole::latent)),
      in_scale(param(name + ".in_scale", std::move(in_scale_value), ParamRole::scale)),
      out_scale(param(name + ".out_scale", std::move(out_scale_value), ParamRole::scale)),
      options(options) {}

Var OneBitLinear::forward(Tape& tape, const Var& x) {
  return onebit_linear(x, tape.param(latent), tape.param(in_scale), tape.param(out_scale),
                       bias_or_none(tape), options);
}

std::shared_ptr<const MadeMatrix> OneBitLinear::matrix(Tape& tape) {
  if (bias.value.defined()) return nullptr;
  return onebit_matrix(tape.param(latent), tape.param(in_scale), tape.param(out_scale), options);
}

void OneBitLinear::visit(const ParamVisitor& visitor) {
  visitor(latent);
  visitor(in_scale);
  visitor(out_scale);
  if (bias.value.defined()) visitor(bias);
}

Tensor OneBitLinear::dense_weight() const {
  if (options.post_layer_norm) throw_error(ErrorKind::recipe, "'{}' {}", name, kNoDenseWeight);
  return onebit_weight(latent.value, in_scale.value, out_scale.value);
}

std::string OneBitLinear::form() const {
  return options.post_layer_norm ? kNormedForm : kOneBitForm;
}

std::map<std::string, Tensor> OneBitLinear::stored() const {
  std::map<std::string, Tensor> out{{name + ".sign", pack_signs(latent.value)},
                                    {in_scale.name, f16_scale(in_scale.value, in_scale.name)},
                                    {out_scale.name, f16_scale(out_scale.value, out_scale.name)}};
  put_bias(out);
  return out;
}

LinearBits OneBitLinear::bits() const {
  const int64_t o = latent.value.dim(0), i = latent.value.dim(1);
  return {.weights = o * i,
          .paper_bits = static_cast<double>(o * i + 16 * (o + i)),
          .paper_numbers = static_cast<double>(o * i + o + i),
          .stored_bits = o * round_up(i, 8) + 16 * (o + i)};
}

// --- a scale a row and group -------------------------------------------------------------------

GroupScaledLinear::GroupScaledLinear(std::string module, Tensor latent_value,
                                     Tensor out_scale_value, Tensor bias_value, Ste ste)
    : LinearLike(std::move(module), std::move(bias_value)),
      latent(param(name + ".weight", std::move(latent_value), ParamRole::latent)),
      out_scale(param(name + ".out_scale", std::move(out_scale_value), ParamRole::scale)),
      ste(ste) {}

Var GroupScaledLinear::forward(Tape& tape, const Var& x) {
  return group_scaled_linear(x, tape.param(latent), tape.param(out_scale), bias_or_none(tape), ste);
}

std::shared_ptr<const MadeMatrix> GroupScaledLinear::matrix(Tape& tape) {
  if (bias.value.defined()) return nullptr;
  return group_scaled_matrix(tape.param(latent), tape.param(out_scale), ste);
}

void GroupScaledLinear::visit(const ParamVisitor& visitor) {
  visitor(latent);
  visitor(out_scale);
  if (bias.value.defined()) visitor(bias);
}

Tensor GroupScaledLinear::dense_weight() const {
  return group_scaled_weight(latent.value, out_scale.value);
}

std::string GroupScaledLinear::form() const {
  const int64_t groups = out_scale.value.dim(1);
  return groups == 1 ? kRowForm : fmt::format("{}{}", kGroupForm, latent.value.dim(1) / groups);
}

std::map<std::string, Tensor> GroupScaledLinear::stored() const {
  std::map<std::string, Tensor> out{{name + ".sign", pack_signs(latent.value)},
                                    {out_scale.name, f16_scale(out_scale.value, out_scale.name)}};
  put_bias(out);
  return out;
}

LinearBits GroupScaledLinear::bits() const {
  const int64_t o = latent.value.dim(0), i = latent.value.dim(1), scales = out_scale.value.numel();
  return {.weights = o * i,
          .paper_bits = static_cast<double>(o * i + 16 * scales),
          .paper_numbers = static_cast<double>(o * i + scales),
          .stored_bits = o * round_up(i, 8) + 16 * scales};
}

// --- post-training methods ---------------------------------------------------------------------

LowBitLinear::LowBitLinear(std::string module, LowBitMatrix matrix, Tensor bias_value)
    : LinearLike(std::move(module), std::move(bias_value)),
      code(std::move(matrix)),
      weight(param(name + ".weight", reconstruct(code), ParamRole::weight)) {}

Var LowBitLinear::forward(Tape& tape, const Var& x) {
  return linear(x, tape.constant(weight.value),
                bias.value.defined() ? tape.constant(bias.value) : Var());
}

void LowBitLinear::visit(const ParamVisitor& visitor) {
  visitor(weight);
  if (bias.value.defined()) visitor(bias);
}

std::string LowBitLinear::form() const {
  return layout_text(code.layout);
}

std::map<std::string, Tensor> LowBitLinear::stored() const {
  for (const auto& [part, tensor] : code.parts)
    if (tensor.dtype() == DType::f16) f16_scale(tensor, name + "." + part);
  return whole_names(code.parts);
}

std::map<std::string, Tensor> LowBitLinear::mapped() const {
  std::map<std::string, Tensor> out = stored();
  return has_coded_form(code.layout) ? whole_names(coded_tensors(coded_form(code))) : out;
}

LinearBits LowBitLinear::bits() const {
  return low_bits(count_bits(code));
}

LinearBits low_bits(const LowBitCount& count) {
  return {.weights = count.weights,
          .paper_bits = count.paper_bits * static_cast<double>(count.weights),
          .paper_numbers = static_cast<double>(count.weights),
          .stored_bits = count.stored_bits};
}

// --- from tensors ------------------------------------------------------------------------------

void expect_dtype(const Tensor& tensor, const std::string& name,
                  std::initializer_list<DType> expected) {
  if (std::ranges::find(expected, tensor.dtype()) != expected.end()) return;
  std::string names;
  for (const DType dtype : expected)
    names += (names.empty() ? "" : " or ") + std::string(dtype_name(dtype));
  throw_error(ErrorKind::format, "model: tensor '{}' is of dtype {}, {} expected", name,
              dtype_name(tensor.dtype()), names);
}

namespace {

constexpr std::initializer_list<DType> kReal = {DType::f32, DType::f16, DType::bf16, DType::f64};

// The tensors of one linear, their shapes and dtypes checked.
class Parts {
 public:
  Parts(const std::string& name, const TakeTensor& take) : name_(name), take_(take) {}

  const std::string& name() const { return name_; }

  Tensor optional(const std::string& part, const Shape& shape,
                  std::initializer_list<DType> dtypes) const {
    Tensor out = take_(part);
    if (!out.defined()) return out;
    if (out.shape() != shape)
      throw_error(ErrorKind::format, "model: tensor '{}.{}' has shape {}, expected {}", name_, part,
                  shape_text(out.shape()), shape_text(shape));
    expect_dtype(out, name_ + "." + part, dtypes);
    return out;
  }
  Tensor at(const std::string& part, const Shape& shape,
            std::initializer_list<DType> dtypes) const {
    Tensor out = optional(part, shape, dtypes);
    if (!out.defined())
      throw_error(ErrorKind::format, "model: tensor '{}.{}' is missing, shape {} expected", name_,
                  part, shape_text(shape));
    return out;
  }
  Tensor floats(const std::string& part, const Shape& shape) const {
    return at(part, shape, kReal).to(DType::f32);
  }

 private:
  const std::string& name_;
  const TakeTensor& take_;
};

std::unique_ptr<LinearLike> low_bit_of(const std::string& form, const std::string& name,
                                       int64_t out, int64_t in, const TakeTensor& take,
                                       Tensor bias) {
  const LowBitLayout layout = parse_layout(form);
  if (auto coded = coded_from(layout, out, in, take, "model: tensor '" + name))
    return std::make_unique<CodedLinear>(name, layout, std::move(*coded), std::move(bias));
  LowBitMatrix code{.layout = layout, .rows = out, .columns = in, .parts = {}};
  for (const std::string& part : part_names(code.layout))
    if (Tensor tensor = take(part); tensor.defined()) code.parts[part] = std::move(tensor);
  check_parts(code, "model: tensor " + name);
  if (has_coded_form(layout))
    return std::make_unique<CodedLinear>(name, layout, coded_form(code), std::move(bias));
  return std::make_unique<LowBitLinear>(name, std::move(code), std::move(bias));
}

// The inputs of a group, of a form that has groups; nothing for other forms.
std::optional<int64_t> group_of(const std::string& form, const std::string& name, int64_t in) {
  if (form == kRowForm) return in;
  if (!form.starts_with(kGroupForm)) return {};
  const char* end = form.data() + form.size();
  int64_t group = 0;
  const auto [rest, fault] = std::from_chars(form.data() + kGroupForm.size(), end, group);
  if (fault != std::errc() || rest != end || group < 1 || in % group != 0)
    throw_error(ErrorKind::format,
                "model: linear '{}' is of the form '{}', groups that divide its {} inputs expected",
                name, printable(form), in);
  return group;
}

// Signs that stay packed: in tiles, or in rows with scales in F16. Scales of other dtypes hold
// numbers that F16 may not, and groups of an odd size do not fall on tiles: nothing then.
SignTiles tiles_of(const Parts& parts, int64_t out, int64_t in, int64_t groups, bool one_group) {
  SignTiles tiles{.rows = out, .columns = in, .groups = groups, .words = {}, .scales = {}};
  const Shape words{tiles.tiles(), tiles.chunks(), SignTiles::kRows * SignTiles::kColumns / 8};
  tiles.words = parts.optional("words", words, {DType::u8});
  const bool on_tiles = groups == 1 || in % (groups * SignTiles::kColumns) == 0;
  if (tiles.words.defined()) {
    if (!on_tiles)
      throw_error(ErrorKind::format,
                  "model: tensor '{}.words' has {} groups of {} inputs, a multiple of {} expected",
                  parts.name(), groups, in / groups, SignTiles::kColumns);
    tiles.scales = parts.at("scales", {tiles.tiles(), groups, SignTiles::kRows}, {DType::f16});
    return tiles;
  }
  const Tensor sign = parts.optional("sign", {out, divide_up(in, 8)}, {DType::u8});
  if (!sign.defined() || !on_tiles) return {};
  const Tensor scale = parts.at("out_scale", one_group ? Shape{out} : Shape{out, groups}, kReal);
  return scale.dtype() == DType::f16 ? tile_signs(sign, scale, in) : SignTiles();
}

}  // namespace

std::unique_ptr<LinearLike> linear_of(const std::string& form, const std::string& name, int64_t out,
                                      int64_t in, const TakeTensor& take) {
  const Parts parts(name, take);
  Tensor bias = parts.optional("bias", {out}, kReal);
  if (bias.defined()) bias = bias.to(DType::f32);
  if (form.empty())
    return std::make_unique<Linear>(name, parts.at("weight", {out, in}, {DType::f32, DType::f16}),
                                    std::move(bias));
  const std::optional<int64_t> group = group_of(form, name, in);
  if (!group && form != kOneBitForm && form != kNormedForm)
    return low_bit_of(form, name, out, in, take, std::move(bias));
  const bool plain = !group;  // h S g
  const int64_t groups = plain ? 1 : in / *group;
  Tensor in_scale = plain ? parts.floats("in_scale", {in}) : Tensor();
  if (const SignTiles tiles = tiles_of(parts, out, in, groups, plain); tiles.words.defined())
    return std::make_unique<PackedLinear>(name, form,
                                          PackedWeights{.tiles = tiles,
                                                        .in_scale = std::move(in_scale),
                                                        .bias = std::move(bias),
                                                        .post_layer_norm = form == kNormedForm});
  const Tensor sign = parts.optional("sign", {out, divide_up(in, 8)}, {DType::u8});
  Tensor latent = sign.defined() ? unpack_signs(sign, in) : parts.floats("weight", {out, in}),
         scale = parts.floats("out_scale", plain ? Shape{out} : Shape{out, groups});
  if (!plain)
    return std::make_unique<GroupScaledLinear>(name, std::move(latent), std::move(scale),
                                               std::move(bias));
  return std::make_unique<OneBitLinear>(name, std::move(latent), std::move(in_scale),
                                        std::move(scale), std::move(bias),
                                        OneBitOptions{.post_layer_norm = form == kNormedForm});
}

}  // namespace halftone
