// A model of some hundred bytes and a training of it, whose checkpoints are small enough to be
// fuzzed.
#pragma once

#include "halftone/model/build.h"
#include "halftone/model/spec.h"
#include "halftone/train/training.h"

namespace halftone::fuzz {

inline constexpr const char* kConfig = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4,
  "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1,
  "num_key_value_heads": 1,
  "vocab_size": 8, "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "hidden_act": "silu",
  "tie_word_embeddings": true})";

class TinyRun {
 public:
  // `onebit`: its linears are of the OneBit layer, else dense.
  explicit TinyRun(bool onebit);

  Trainer& trainer() { return *trainer_; }
  CheckpointContent training_content();  // as a run saves it
  CheckpointContent model_content();     // as a run ends with it

 private:
  LoadedModel model_;
  TokenSequences sequences_;
  std::unique_ptr<Batches> batches_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace halftone::fuzz
