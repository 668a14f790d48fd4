// A small model, and its tensors changed.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "halftone/model/build.h"
#include "halftone/model/config.h"
#include "halftone/model/spec.h"

namespace halftone::testing {

inline ModelConfig tiny_config() {
  ModelConfig c;
  c.hidden_size = 32;
  c.intermediate_size = 48;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 8;
  c.vocab_size = 40;
  c.max_position_embeddings = 64;
  c.tie_word_embeddings = true;
  return c;
}

inline Decoder tiny_decoder(uint64_t seed = 3) {
  const DecoderSpec spec = decoder_spec(tiny_config());
  return build_decoder(spec, random_weights(spec, seed));
}

// Whether both hold the same numbers in the same dtype.
inline bool equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

}  // namespace halftone::testing
