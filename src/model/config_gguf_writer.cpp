// A configuration as GGUF keys: what every family has. Names and types are llama.cpp's
// (llama-arch.cpp): whole numbers are u32, others f32.
#include "config_checks.h"
#include "config_gguf_parts.h"
#include "halftone/base/error.h"
#include "model/families/family.h"

namespace halftone {
namespace {

using Kind = RopeScaling::Kind;

// Frequencies that are not those of the type alone: llama.cpp reads them for llama alone.
void require_factors(const ModelConfig& config, const GgufConfig& out) {
  if (out.architecture != "llama")
    throw_no_gguf(config, fmt::format("rope scaling of type {} in llama.cpp's architecture {}",
                                      rope_type_name(config.rope_scaling.kind), out.architecture));
}

void put_yarn(const ModelConfig& config, GgufConfig& out) {
  const RopeScaling& s = config.rope_scaling;
  if (!s.truncate) throw_no_gguf(config, "yarn scaling with truncate = false");
  out.real("rope.scaling.factor", s.factor);
  out.whole("rope.scaling.original_context_length", s.original_max_position_embeddings);
  out.real("rope.scaling.attn_factor", s.attention_factor / yarn_mscale(s.factor));
  out.real("rope.scaling.yarn_beta_fast", s.beta_fast);
  out.real("rope.scaling.yarn_beta_slow", s.beta_slow);
}

void put_longrope(const ModelConfig& config, GgufConfig& out) {
  const RopeScaling& s = config.rope_scaling;
  require_factors(config, out);
  out.whole("rope.scaling.original_context_length", s.original_max_position_embeddings);
  out.real("rope.scaling.attn_factor", s.attention_factor);
  const Shape half{config.head_dim / 2};
  out.factors["rope_factors_short.weight"] = Tensor::of(half, s.short_factor).to(DType::f32);
  out.factors["rope_factors_long.weight"] = Tensor::of(half, s.long_factor).to(DType::f32);
}

// What each plain frequency is divided by; the parameters have no keys.
void put_llama3(const ModelConfig& config, GgufConfig& out) {
  const RopeScaling& s = config.rope_scaling;
  const RopeScaling published{.kind = Kind::llama3, .factor = s.factor};
  require_factors(config, out);
  if (s != published)
    throw_no_gguf(config,
                  "llama3 scaling other than low_freq_factor 1, high_freq_factor 4 and "
                  "original_max_position_embeddings 8192");
  ModelConfig plain = config;
  plain.rope_scaling = {};
  std::vector<double> divisors = rope_frequencies(plain, 1).inverse;
  const std::vector<double> scaled = rope_frequencies(config, 1).inverse;
  for (size_t i = 0; i < divisors.size(); ++i) divisors[i] /= scaled[i];
  out.factors["rope_freqs.weight"] = Tensor::of({config.head_dim / 2}, divisors).to(DType::f32);
}

// As read_gguf_config reads it: one that is not there is the fallback of every reader.
void put_scaling(const ModelConfig& config, GgufConfig& out) {
  const Kind kind = config.rope_scaling.kind;
  if (kind == Kind::none) return;
  if (kind == Kind::dynamic) throw_no_gguf(config, "rope scaling of type dynamic");
  if (kind == Kind::llama3) return put_llama3(config, out);
  out.put("rope.scaling.type", std::string(rope_type_name(kind)));
  if (kind == Kind::linear) out.real("rope.scaling.factor", config.rope_scaling.factor);
  if (kind == Kind::yarn) put_yarn(config, out);
  if (kind == Kind::longrope) put_longrope(config, out);
}

}  // namespace

void write_gguf_rope(const ModelConfig& config, GgufConfig& out) {
  out.whole("rope.dimension_count", config.head_dim);
  out.real("rope.freq_base", config.rope_theta);
  put_scaling(config, out);
}

GgufConfig gguf_config(const ModelConfig& config) {
  const Family& family = family_of(config);
  if (!family.write_gguf)
    throw_no_gguf(config, "architecture of this family: llama.cpp does not have it");
  GgufConfig out;
  family.write_gguf(config, out);
  return out;
}

void throw_no_gguf(const ModelConfig& config, const std::string& what) {
  throw_error(ErrorKind::recipe, "export: {}: a GGUF has no {}", config.architecture, what);
}

}  // namespace halftone
