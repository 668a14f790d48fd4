// Random models of the shapes that the benches measure: speed does not depend on the weights.
#pragma once

#include "halftone/compress/onebit_start.h"
#include "halftone/model/build.h"
#include "halftone/model/spec.h"

namespace halftone::bench {

inline ModelConfig smollm2_135m() {
  return {.hidden_size = 576,
          .intermediate_size = 1536,
          .num_hidden_layers = 30,
          .num_attention_heads = 9,
          .num_key_value_heads = 3,
          .head_dim = 64,
          .vocab_size = 49152,
          .max_position_embeddings = 2048,
          .rms_norm_eps = 1e-5,
          .tie_word_embeddings = true};
}

inline ModelConfig tiny() {
  return {.hidden_size = 256,
          .intermediate_size = 688,
          .num_hidden_layers = 6,
          .num_attention_heads = 8,
          .num_key_value_heads = 4,
          .head_dim = 32,
          .vocab_size = 4096,
          .max_position_embeddings = 2048,
          .rms_norm_eps = 1e-5,
          .tie_word_embeddings = true};
}

// A billion parameters, whose products are large enough to fill a GPU.
inline ModelConfig billion() {
  return {.hidden_size = 2048,
          .intermediate_size = 5632,
          .num_hidden_layers = 16,
          .num_attention_heads = 32,
          .num_key_value_heads = 8,
          .head_dim = 64,
          .vocab_size = 32000,
          .max_position_embeddings = 2048,
          .rms_norm_eps = 1e-5,
          .tie_word_embeddings = true};
}

// The student of recipes/quickstart.
inline ModelConfig quickstart() {
  return {.hidden_size = 256,
          .intermediate_size = 640,
          .num_hidden_layers = 4,
          .num_attention_heads = 8,
          .num_key_value_heads = 4,
          .head_dim = 32,
          .vocab_size = 2048,
          .max_position_embeddings = 1024,
          .rms_norm_eps = 1e-5,
          .tie_word_embeddings = true};
}

// As a run holds it: matrices in F16, for generation in F32; norms in F32.
inline Decoder random_teacher(const ModelConfig& config, DType matrices = DType::f16) {
  Weights weights = random_weights(decoder_spec(config), 1);
  for (auto& [name, tensor] : weights)
    if (tensor.rank() == 2) tensor = tensor.to(matrices);
  return build_decoder(decoder_spec(config), weights);
}

inline Decoder random_student(const ModelConfig& config, const StudentSettings& settings = {}) {
  Decoder student = build_decoder(decoder_spec(config), random_weights(decoder_spec(config), 1));
  start_onebit(student, settings);
  return student;
}

// Weights that take part in products: all but norms, and of the embedding only its use as head.
inline int64_t multiplied_weights(const ModelConfig& c) {
  return block_linear_weights(decoder_spec(c)) + c.vocab_size * c.hidden_size;
}

}  // namespace halftone::bench
