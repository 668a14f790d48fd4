// What the tests of a GPU share: a model that takes no time.
#pragma once

#include "halftone/model/config.h"

namespace halftone {

inline ModelConfig small_config(int64_t heads, int64_t key_value_heads, int64_t head_dim) {
  return {.hidden_size = 96,
          .intermediate_size = 160,
          .num_hidden_layers = 2,
          .num_attention_heads = heads,
          .num_key_value_heads = key_value_heads,
          .head_dim = head_dim,
          .vocab_size = 500,
          .max_position_embeddings = 64,
          .rms_norm_eps = 1e-5,
          .tie_word_embeddings = true};
}

}  // namespace halftone
