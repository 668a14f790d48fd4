#include <algorithm>
#include <cmath>

#include "config_checks.h"
#include "config_hf_parts.h"

namespace halftone {
namespace {

using Kind = RopeScaling::Kind;

constexpr const char* kOriginal = "original_max_position_embeddings";

struct ReadKeys {
  Kind kind;
  std::vector<std::string_view> keys;
};

// What each kind reads, beside what all do.
const ReadKeys kReadKeys[] = {
    {Kind::none, {}},
    {Kind::linear, {"factor"}},
    {Kind::dynamic, {"factor"}},
    {Kind::yarn,
     {"factor", kOriginal, "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
      "truncate"}},
    {Kind::longrope, {"factor", kOriginal, "attention_factor", "short_factor", "long_factor"}},
    {Kind::llama3, {"factor", kOriginal, "low_freq_factor", "high_freq_factor"}},
};

Kind read_kind(const ConfigFields& in) {
  // "type" is the older spelling.
  const char* key = in.has("rope_type") ? "rope_type" : "type";
  if (!in.has(key)) return Kind::none;
  const std::string type = in.text(key);
  if (in.has("type") && in.text("type") != type)
    in.fail("type", fmt::format("\"{}\", as rope_type says", printable(type)));
  std::vector<std::string> names;
  for (const ReadKeys& row : kReadKeys) {
    names.push_back(rope_type_name(row.kind));
    if (type == names.back()) return row.kind;
  }
  in.fail(key, fmt::format("one of {}", fmt::join(names, ", ")));
}

void check_rope_keys(const ConfigFields& in, Kind kind) {
  const auto row = std::find_if(std::begin(kReadKeys), std::end(kReadKeys),
                                [&](const ReadKeys& keys) { return keys.kind == kind; });
  // kOriginal is of no consequence to the kinds that do not read it, and to transformers with them;
  // "finetuned" says how a model was made.
  const auto passed = {"rope_type", "type", "rope_theta", kOriginal, "finetuned"};
  const auto neutral_at_one = {"factor", "attention_factor", "partial_rotary_factor"};
  const auto in_list = [](const auto& list, const std::string& key) {
    return std::find(list.begin(), list.end(), key) != list.end();
  };
  for (const auto& [key, value] : in.json().items()) {
    if (value.is_null() || in_list(passed, key) || in_list(row->keys, key)) continue;
    if (!in_list(neutral_at_one, key)) in.fail_unknown(key);
    if (!is_neutral(value, 1))
      in.fail(key, fmt::format("1 with rope_type {}", rope_type_name(kind)));
  }
}

double read_yarn_attention(const ConfigFields& in, double factor) {
  const double mscale = in.real("mscale", 0, kMaxRopeFactor, 0),
               all_dim = in.real("mscale_all_dim", 0, kMaxRopeFactor, 0);
  const double fallback = mscale > 0 && all_dim > 0
                              ? yarn_mscale(factor, mscale) / yarn_mscale(factor, all_dim)
                              : yarn_mscale(factor);
  return in.real("attention_factor", kMinRopeFactor, kMaxRopeFactor, fallback);
}

double read_longrope_attention(const ConfigFields& in, double factor, int64_t original) {
  const double fallback =
      factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original)));
  return in.real("attention_factor", kMinRopeFactor, kMaxRopeFactor, fallback);
}

// `original`: original_max_position_embeddings of the top level.
RopeScaling read_scaling(const ConfigFields& in, const ModelConfig& config,
                         std::optional<int64_t> original) {
  RopeScaling out;
  out.kind = read_kind(in);
  check_rope_keys(in, out.kind);
  if (out.kind == Kind::none) return out;
  if (out.kind == Kind::linear || out.kind == Kind::dynamic) {
    out.factor = in.real("factor", 1, kMaxRopeFactor);
    return out;
  }
  out.original_max_position_embeddings =
      original ? *original : in.whole(kOriginal, 2, kMaxPositions, config.max_position_embeddings);
  const double ratio = static_cast<double>(config.max_position_embeddings) /
                       static_cast<double>(out.original_max_position_embeddings);
  if (out.kind == Kind::llama3) {
    out.factor = in.real("factor", 1, kMaxRopeFactor);
    out.low_freq_factor = in.real("low_freq_factor", kMinRopeFactor, kMaxRopeFactor);
    out.high_freq_factor = in.real("high_freq_factor", kMinRopeFactor, kMaxRopeFactor);
  } else if (out.kind == Kind::yarn) {
    out.factor = in.real("factor", 1, kMaxRopeFactor, ratio);
    out.attention_factor = read_yarn_attention(in, out.factor);
    out.beta_fast = in.real("beta_fast", kMinRopeFactor, kMaxRopeFactor, out.beta_fast);
    out.beta_slow = in.real("beta_slow", kMinRopeFactor, kMaxRopeFactor, out.beta_slow);
    out.truncate = in.boolean("truncate", true);
  } else {
    const size_t half = static_cast<size_t>(config.head_dim) / 2;
    out.attention_factor = read_longrope_attention(in, in.real("factor", 1, kMaxRopeFactor, ratio),
                                                   out.original_max_position_embeddings);
    out.short_factor = in.reals("short_factor", half, kMinRopeFactor, kMaxRopeFactor);
    out.long_factor = in.reals("long_factor", half, kMinRopeFactor, kMaxRopeFactor);
  }
  return out;
}

}  // namespace

Rope read_rope_object(const ConfigFields& top, const ConfigFields& object,
                      const ModelConfig& config, double theta) {
  std::optional<int64_t> original;
  if (top.has(kOriginal)) original = top.whole(kOriginal, 2, kMaxPositions);
  return {object.real("rope_theta", kMinTheta, kMaxTheta, theta),
          read_scaling(object, config, original)};
}

void read_rope(const ConfigFields& in, ModelConfig& config) {
  if (in.has("partial_rotary_factor") && in.real("partial_rotary_factor", 0, 1) != 1)
    in.fail("partial_rotary_factor", "1");
  Rope rope{in.real("rope_theta", kMinTheta, kMaxTheta, 10000), {}};
  const auto given = [&](const char* key) { return in.has(key) && !in.at(key).empty(); };
  const auto read = [&](const char* key) {
    return read_rope_object(in, in.object(key), config, rope.theta);
  };
  if (given("rope_scaling") && given("rope_parameters") &&
      read("rope_scaling") != read("rope_parameters"))
    in.fail("rope_parameters", "the same as rope_scaling, or one of the two alone");
  if (given("rope_parameters"))
    rope = read("rope_parameters");
  else if (given("rope_scaling"))
    rope = read("rope_scaling");
  config.rope_theta = rope.theta;
  config.rope_scaling = rope.scaling;
  check_scaling(config, in.where());
}

}  // namespace halftone
