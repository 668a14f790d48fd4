#include "halftone/model/build.h"

#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/base/threads.h"
#include "halftone/model/weight_names.h"
#include "halftone/tensor/numbers.h"
#include "halftone/tensor/packed_signs.h"

namespace halftone {
namespace {

// Takes tensors by name and checks their shapes.
class Source {
 public:
  explicit Source(const Weights& weights) : weights_(weights) {}

  bool has(const std::string& name) const { return weights_.contains(name); }

  Tensor take(const std::string& name, const Shape& expected) const {
    const auto it = weights_.find(name);
    if (it == weights_.end())
      throw_error(ErrorKind::format, "model: tensor '{}' is missing, shape {} expected", name,
                  shape_text(expected));
    if (it->second.shape() != expected)
      throw_error(ErrorKind::format, "model: tensor '{}' has shape {}, expected {}", name,
                  shape_text(it->second.shape()), shape_text(expected));
    return it->second;
  }

  // The parts of a low-bit matrix, by their names alone.
  std::map<std::string, Tensor> parts(const std::string& module) const {
    std::map<std::string, Tensor> out;
    for (auto it = weights_.lower_bound(module + "."); it != weights_.end(); ++it) {
      if (!it->first.starts_with(module + ".")) break;
      const std::string part = it->first.substr(module.size() + 1);
      if (is_part_name(part)) out[part] = it->second;
    }
    return out;
  }

  Tensor take_float(const std::string& name, const Shape& expected) const {
    return take(name, expected).to(DType::f32);
  }

 private:
  const Weights& weights_;
};

struct LinearKinds {
  OneBitOptions onebit;
  std::optional<LowBitLayout> layout;
};

Param norm(const Source& from, const std::string& name, int64_t size) {
  return {.name = name, .value = from.take_float(name, {size}), .grad = {}, .decay = false};
}

std::unique_ptr<LinearLike> linear(const Source& from, const std::string& name, int64_t out,
                                   int64_t in, const LinearKinds& kinds) {
  Tensor bias;
  if (from.has(name + ".bias")) bias = from.take_float(name + ".bias", {out});
  if (kinds.layout && (from.has(name + ".codes") || from.has(name + ".signs"))) {
    LowBitMatrix code{
        .layout = *kinds.layout, .rows = out, .columns = in, .parts = from.parts(name)};
    check_parts(code, "model: tensor " + name);
    return std::make_unique<LowBitLinear>(name, std::move(code), bias);
  }
  if (!from.has(name + ".in_scale"))
    return std::make_unique<Linear>(name, from.take(name + ".weight", {out, in}), bias);
  const Tensor latent = from.has(name + ".sign")
                            ? unpack_signs(from.take(name + ".sign", {out, (in + 7) / 8}), in)
                            : from.take_float(name + ".weight", {out, in});
  return std::make_unique<OneBitLinear>(name, latent, from.take_float(name + ".in_scale", {in}),
                                        from.take_float(name + ".out_scale", {out}), bias,
                                        kinds.onebit);
}

Block block(const Source& from, const ModelConfig& c, int64_t layer, const LinearKinds& kinds) {
  const std::string at = fmt::format("model.layers.{}.", layer);
  const int64_t hidden = c.hidden_size, q = c.num_attention_heads * c.head_dim,
                kv = c.num_key_value_heads * c.head_dim;
  Block b;
  b.input_norm = norm(from, at + "input_layernorm.weight", hidden);
  b.q = linear(from, at + "self_attn.q_proj", q, hidden, kinds);
  b.k = linear(from, at + "self_attn.k_proj", kv, hidden, kinds);
  b.v = linear(from, at + "self_attn.v_proj", kv, hidden, kinds);
  b.o = linear(from, at + "self_attn.o_proj", hidden, q, kinds);
  b.post_attention_norm = norm(from, at + "post_attention_layernorm.weight", hidden);
  b.gate = linear(from, at + "mlp.gate_proj", c.intermediate_size, hidden, kinds);
  b.up = linear(from, at + "mlp.up_proj", c.intermediate_size, hidden, kinds);
  b.down = linear(from, at + "mlp.down_proj", hidden, c.intermediate_size, kinds);
  return b;
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

Decoder build_decoder(const ModelConfig& c, const Weights& weights, const OneBitOptions& options,
                      const std::optional<LowBitLayout>& layout) {
  const Source from(weights);
  Decoder decoder;
  decoder.shape = {.hidden_size = c.hidden_size,
                   .num_attention_heads = c.num_attention_heads,
                   .num_key_value_heads = c.num_key_value_heads,
                   .head_dim = c.head_dim,
                   .rms_norm_eps = c.rms_norm_eps,
                   .frequencies = [c](int64_t context) { return rope_frequencies(c, context); },
                   .sliding_window = c.sliding_window};
  decoder.embedding = {
      .name = "model.embed_tokens.weight",
      .value = from.take("model.embed_tokens.weight", {c.vocab_size, c.hidden_size}),
      .grad = {}};
  for (int64_t i = 0; i < c.num_hidden_layers; ++i)
    decoder.blocks.push_back(block(from, c, i, {options, layout}));
  decoder.final_norm = norm(from, "model.norm.weight", c.hidden_size);
  if (!c.tie_word_embeddings)
    decoder.head = {.name = "lm_head.weight",
                    .value = from.take("lm_head.weight", {c.vocab_size, c.hidden_size}),
                    .grad = {}};
  return decoder;
}

Weights trainable_copy(const Weights& weights) {
  Weights out;
  for (const auto& [name, tensor] : weights)
    out[name] = tensor.dtype() == DType::f32 ? tensor.clone() : tensor.to(DType::f32);
  return out;
}

Weights random_weights(const ModelConfig& config, uint64_t seed) {
  const std::vector<ExpectedWeight> expected = expected_weights(config);
  std::vector<Tensor> values(expected.size());
  parallel_for(static_cast<int64_t>(expected.size()), 1, [&](int64_t index, int64_t) {
    const ExpectedWeight& weight = expected[index];
    const bool matrix = weight.shape.size() == 2, bias = weight.name.ends_with(".bias");
    Tensor value = Tensor::full(weight.shape, DType::f32, matrix || bias ? 0 : 1);
    Rng rng(seed, (static_cast<uint64_t>(RngStream::init) << 32) + static_cast<uint64_t>(index));
    if (matrix)
      for (int64_t i = 0; i < value.numel(); ++i)
        value.data<float>()[i] = static_cast<float>(0.02 * rng.normal());
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

Weights packed_weights(Decoder& decoder) {
  Weights all = weights_of(decoder), out;
  for (Block& block : decoder.blocks)
    for (const auto* slot : block.linears())
      if (const auto* low = dynamic_cast<const LowBitLinear*>(slot->get())) {
        for (const auto& [part, tensor] : low->code.parts) {
          const std::string name = low->name + "." + part;
          out[name] = tensor.dtype() == DType::f16 ? f16_scale(tensor, name) : tensor;
        }
        all.erase(low->weight.name);
      }
  for (const auto& [name, tensor] : all) {
    const std::string module = name.substr(0, name.rfind('.'));
    if (name.ends_with(".weight") && all.contains(module + ".in_scale"))
      out[module + ".sign"] = pack_signs(tensor);
    else if (name.ends_with("_scale"))
      out[name] = f16_scale(tensor, name);
    else if (tensor.rank() == 2)
      out[name] = to_f16_where_it_fits(tensor);
    else
      out[name] = tensor;
  }
  return out;
}

}  // namespace halftone
