#include "halftone/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "halftone/model/config.h"

namespace halftone {
namespace {

std::vector<double> plain_frequencies(double theta, int64_t head_dim) {
  std::vector<double> out;
  for (int64_t i = 0; i < head_dim; i += 2)
    out.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(head_dim)));
  return out;
}

double dynamic_theta(const ModelConfig& c, int64_t context) {
  const double factor = c.rope_scaling.factor, d = static_cast<double>(c.head_dim);
  const double longer = static_cast<double>(std::max(context, c.max_position_embeddings)) /
                        static_cast<double>(c.max_position_embeddings);
  return c.rope_theta * std::pow(factor * longer - (factor - 1), d / (d - 2));
}

// Turns of a frequency within the original context.
double turns(const RopeScaling& s, double frequency) {
  return static_cast<double>(s.original_max_position_embeddings) * frequency /
         (2 * std::numbers::pi);
}

double llama3_frequency(const RopeScaling& s, double f) {
  const double n = turns(s, f);
  if (n > s.high_freq_factor) return f;
  if (n < s.low_freq_factor) return f / s.factor;
  const double smooth = (n - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return ((1 - smooth) / s.factor + smooth) * f;
}

void stretch_by_yarn(const ModelConfig& c, std::vector<double>& frequencies) {
  const RopeScaling& s = c.rope_scaling;
  const double d = static_cast<double>(c.head_dim);
  const auto index_that_turns = [&](double times) {
    return d * std::log(turns(s, 1) / times) / (2 * std::log(c.rope_theta));
  };
  double low = index_that_turns(s.beta_fast), high = index_that_turns(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, d - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= (1 - ramp) + ramp / s.factor;
  }
}

}  // namespace

RotaryFrequencies rope_frequencies(const ModelConfig& c, int64_t context) {
  using Kind = RopeScaling::Kind;
  const RopeScaling& s = c.rope_scaling;
  const double theta = s.kind == Kind::dynamic ? dynamic_theta(c, context) : c.rope_theta;
  RotaryFrequencies out{plain_frequencies(theta, c.head_dim), s.attention_factor};
  switch (s.kind) {
    case Kind::none:
    case Kind::dynamic:
      break;
    case Kind::linear:
      for (double& f : out.inverse) f /= s.factor;
      break;
    case Kind::yarn:
      stretch_by_yarn(c, out.inverse);
      break;
    case Kind::longrope: {
      const bool beyond = context > s.original_max_position_embeddings;
      const std::vector<double>& divisors = beyond ? s.long_factor : s.short_factor;
      for (size_t i = 0; i < out.inverse.size(); ++i) out.inverse[i] /= divisors[i];
      break;
    }
    case Kind::llama3:
      for (double& f : out.inverse) f = llama3_frequency(s, f);
      break;
  }
  return out;
}

}  // namespace halftone
