// Rotary frequencies of a model, plain (Su et al., 2021) and stretched for contexts longer than
// those it was first trained on. Formulas and defaults are those of Hugging Face transformers 5.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/ops/rotary.h"

namespace halftone {

struct ModelConfig;

// How the frequencies differ from the plain f_i = theta^(-2i/D), i = 0 .. D/2 - 1. Fields have
// Hugging Face's names; a kind uses those named beside it.
struct RopeScaling {
  enum class Kind {
    none,
    linear,    // factor: f_i / factor
    dynamic,   // factor: plain, for contexts T > L = max_position_embeddings of a larger theta:
               // theta (factor T / L - (factor - 1))^(D / (D - 2))
    yarn,      // factor, original, attention_factor, beta_fast, beta_slow, truncate: see below
    longrope,  // original, attention_factor, short_factor, long_factor: f_i / long_factor_i at
               // contexts longer than original, f_i / short_factor_i at others
    llama3,    // factor, original, low_freq_factor, high_freq_factor: see below
  };
  Kind kind = Kind::none;
  double factor = 1;
  int64_t original_max_position_embeddings = 8192;
  double attention_factor = 1;  // on cos and sin
  double beta_fast = 32;
  double beta_slow = 1;
  bool truncate = true;
  std::vector<double> short_factor, long_factor;  // D / 2 each
  double low_freq_factor = 1;
  double high_freq_factor = 4;

  bool operator==(const RopeScaling&) const = default;
};

// head_dim / 2 frequencies and the factor on cos and sin, for a context of so many tokens. Only the
// kinds dynamic and longrope depend on the context; it is a fixed figure for a whole computation:
// the length of the windows in evaluation, training and calibration, the capacity of the key-value
// cache in generation.
//
// With n_i = L f_i / (2 pi) the turns of frequency i within L = original_max_position_embeddings:
//
// llama3: f_i where n_i > high_freq_factor, f_i / factor where n_i < low_freq_factor, between these
// ((1 - s) / factor + s) f_i with s = (n_i - low_freq_factor) / (high_freq_factor -
// low_freq_factor).
//
// yarn: ((1 - r_i) + r_i / factor) f_i, where r_i = clamp((i - a) / (b - a), 0, 1) rises from the
// index a that turns beta_fast times to the index b that turns beta_slow times. The index that
// turns n times is D ln(L / (2 pi n)) / (2 ln theta). truncate rounds a down and b up; then a is at
// least 0, b at most D - 1, and b = a + 0.001 where both are the same.
RotaryFrequencies rope_frequencies(const ModelConfig& config, int64_t context);

}  // namespace halftone
