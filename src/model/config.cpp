#include "halftone/model/config.h"

#include <cmath>

#include "config_checks.h"
#include "halftone/base/error.h"
#include "halftone/ops/attention.h"

namespace halftone {

int64_t default_head_dim(const ModelConfig& config, const std::string& where,
                         const ConfigFieldNames& names) {
  if (config.hidden_size % config.num_attention_heads != 0)
    throw_error(ErrorKind::format, "{}: {} is {}, expected a multiple of {} = {}", where,
                names.hidden, config.hidden_size, names.heads, config.num_attention_heads);
  return config.hidden_size / config.num_attention_heads;
}

void check_heads(const ModelConfig& config, const std::string& where,
                 const ConfigFieldNames& names) {
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    throw_error(ErrorKind::format, "{}: {} is {}, expected a divisor of {} = {}", where,
                names.kv_heads, config.num_key_value_heads, names.heads,
                config.num_attention_heads);
  if (config.head_dim % 2 != 0)
    throw_error(ErrorKind::format, "{}: {} is {}, expected an even number", where, names.head_dim,
                config.head_dim);
  if (config.head_dim > kMostHeadDim)
    throw_error(ErrorKind::format, "{}: {} is {}, expected at most {}", where, names.head_dim,
                config.head_dim, kMostHeadDim);
}

void check_scaling(const ModelConfig& config, const std::string& where) {
  const RopeScaling& s = config.rope_scaling;
  if (s.kind == RopeScaling::Kind::llama3 && s.low_freq_factor >= s.high_freq_factor)
    throw_error(ErrorKind::format, "{}: low_freq_factor is {}, expected less than {} = {}", where,
                s.low_freq_factor, "high_freq_factor", s.high_freq_factor);
  if (s.kind != RopeScaling::Kind::yarn) return;
  if (s.beta_fast < s.beta_slow)
    throw_error(ErrorKind::format, "{}: beta_fast is {}, expected at least beta_slow = {}", where,
                s.beta_fast, s.beta_slow);
  if (config.rope_theta <= 1)
    throw_error(ErrorKind::format, "{}: rope_theta is {}, expected more than 1 for yarn", where,
                config.rope_theta);
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

const char* rope_type_name(RopeScaling::Kind kind) {
  switch (kind) {
    case RopeScaling::Kind::none:
      return "default";
    case RopeScaling::Kind::linear:
      return "linear";
    case RopeScaling::Kind::dynamic:
      return "dynamic";
    case RopeScaling::Kind::yarn:
      return "yarn";
    case RopeScaling::Kind::longrope:
      return "longrope";
    case RopeScaling::Kind::llama3:
      return "llama3";
  }
  throw std::invalid_argument("rope_type_name: no kind of scaling");
}

}  // namespace halftone
