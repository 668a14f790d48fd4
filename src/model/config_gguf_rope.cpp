#include <algorithm>
#include <cmath>

#include "config_checks.h"
#include "config_gguf_parts.h"
#include "halftone/base/error.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

using Kind = RopeScaling::Kind;

constexpr const char* kFreqs = "rope_freqs.weight";
constexpr const char* kLong = "rope_factors_long.weight";
constexpr const char* kShort = "rope_factors_short.weight";

const char* type_name(Kind kind) {
  return kind == Kind::none ? "none" : rope_type_name(kind);
}

Kind read_kind(const GgufKeys& keys) {
  // A file that names a factor alone means this.
  if (!keys.has("rope.scaling.type")) return Kind::linear;
  const std::string type = keys.text("rope.scaling.type");
  for (const Kind kind : {Kind::none, Kind::linear, Kind::yarn, Kind::longrope})
    if (type == type_name(kind)) return kind;
  keys.fail("rope.scaling.type", "'none', 'linear', 'yarn' or 'longrope'");
}

// 1 where the file names none; 0 stands for that too.
double read_factor(const GgufKeys& keys) {
  const auto read = [&](const char* key, double fallback) {
    const double value = keys.real(key, 0, kMaxRopeFactor, fallback);
    if (value > 0 && value < 1) keys.fail(key, "0 or a number from 1");
    return value == 0 ? 1 : value;
  };
  const double older = read("rope.scale_linear", 1), factor = read("rope.scaling.factor", older);
  if (keys.has("rope.scale_linear") && older != factor)
    keys.fail("rope.scale_linear", fmt::format("{}, as rope.scaling.factor says", factor));
  return factor;
}

// What each plain frequency is divided by.
std::vector<double> read_divisors(const GgufFile& file, const char* name, int64_t count) {
  const GgufTensor* entry = file.find(name);
  const std::string where = fmt::format("{}: tensor '{}'", file.path(), name);
  if (!entry) throw_error(ErrorKind::format, "{} is missing, expected with longrope", where);
  if (entry->shape != Shape{count})
    throw_error(ErrorKind::format, "{} has shape {}, expected [{}]", where,
                shape_text(entry->shape), count);
  if (std::string_view(entry->type->name) != "F32")
    throw_error(ErrorKind::format, "{} is of type {}, expected F32", where, entry->type->name);
  const std::vector<double> values = values_of(file.read(*entry));
  for (int64_t i = 0; i < count; ++i)
    if (!(values[i] >= kMinRopeFactor && values[i] <= kMaxRopeFactor))
      throw_error(ErrorKind::format, "{}: factor {} is {}, expected a number from {} to {}", where,
                  i, values[i], kMinRopeFactor, kMaxRopeFactor);
  return values;
}

// rope_freqs.weight holds what llama3 scaling divides each frequency by. Its parameters are found
// again: the published models differ in the factor alone.
RopeScaling recognise_llama3(const GgufFile& file, ModelConfig config) {
  const std::vector<double> found = read_divisors(file, kFreqs, config.head_dim / 2);
  config.rope_scaling = {};
  const std::vector<double> plain = rope_frequencies(config, 1).inverse;
  config.rope_scaling.kind = Kind::llama3;
  config.rope_scaling.factor = *std::max_element(found.begin(), found.end());
  const std::vector<double> scaled = rope_frequencies(config, 1).inverse;
  for (size_t i = 0; i < plain.size(); ++i)
    if (!(std::abs(found[i] * scaled[i] / plain[i] - 1) < 1e-4))
      throw_error(ErrorKind::format,
                  "{}: tensor '{}': factor {} is {}, llama3 scaling by {} (low 1, high 4, context "
                  "8192) has {}",
                  file.path(), kFreqs, i, found[i], config.rope_scaling.factor,
                  plain[i] / scaled[i]);
  if (config.rope_scaling.factor == 1) return {};
  return config.rope_scaling;
}

void expect(bool fits, const GgufKeys& keys, const char* key, const std::string& expected) {
  if (!fits) keys.fail(key, expected);
}

// What belongs to another kind must say nothing.
void check_scaling_keys(const GgufFile& file, const GgufKeys& keys, const RopeScaling& s,
                        double attention) {
  const bool yarn = s.kind == Kind::yarn, longrope = s.kind == Kind::longrope;
  const std::string with = fmt::format(" with scaling of type {}", type_name(s.kind));
  expect(s.factor == 1 || s.kind == Kind::linear || yarn, keys,
         keys.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear", "1" + with);
  expect(attention == 1 || yarn || longrope, keys, "rope.scaling.attn_factor", "1" + with);
  // How much of yarn there is; negative: what the type says.
  const double all = yarn ? 1 : 0,
               part = keys.real("rope.scaling.yarn_ext_factor", -1, kMaxRopeFactor, all);
  expect(part < 0 || part == all, keys, "rope.scaling.yarn_ext_factor",
         fmt::format("{}{}", all, with));
  for (const char* name : {kShort, kLong})
    if (file.find(name) && !longrope)
      throw_error(ErrorKind::format, "{}: tensor '{}' is not expected{}", file.path(), name, with);
  if (file.find(kFreqs) && s.kind != Kind::none)
    throw_error(ErrorKind::format, "{}: tensor '{}' is not expected{}", file.path(), kFreqs, with);
}

}  // namespace

void read_gguf_rope(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  config.rope_theta = keys.real("rope.freq_base", kMinTheta, kMaxTheta, 10000);
  RopeScaling& out = config.rope_scaling;
  out.kind = read_kind(keys);
  out.factor = read_factor(keys);
  if (out.kind == Kind::linear && out.factor == 1) out.kind = Kind::none;
  const double attention = keys.real("rope.scaling.attn_factor", kMinRopeFactor, kMaxRopeFactor, 1);
  check_scaling_keys(file, keys, out, attention);
  if (out.kind == Kind::yarn || out.kind == Kind::longrope) {
    out.attention_factor = attention * yarn_mscale(out.factor);
    const int64_t original =
        keys.whole("rope.scaling.original_context_length", 0, kMaxPositions, 0);
    out.original_max_position_embeddings = original > 0 ? original : config.max_position_embeddings;
  }
  if (out.kind == Kind::yarn) {
    out.beta_fast = keys.real("rope.scaling.yarn_beta_fast", kMinRopeFactor, kMaxRopeFactor, 32);
    out.beta_slow = keys.real("rope.scaling.yarn_beta_slow", kMinRopeFactor, kMaxRopeFactor, 1);
  }
  if (out.kind == Kind::longrope) {
    out.short_factor = read_divisors(file, kShort, config.head_dim / 2);
    out.long_factor = read_divisors(file, kLong, config.head_dim / 2);
  }
  if (file.find(kFreqs)) out = recognise_llama3(file, config);
  check_scaling(config, keys.where());
}

}  // namespace halftone
