// What any configuration must satisfy, whichever file it came from.
#pragma once

#include "halftone/model/config.h"

namespace halftone {

inline constexpr int64_t kMaxWidth = 1 << 20;  // hidden and intermediate sizes
inline constexpr int64_t kMaxLayers = 1 << 12;
inline constexpr int64_t kMaxHeads = 1 << 14;
inline constexpr int64_t kMaxHeadDim = 1 << 13;
inline constexpr int64_t kMaxVocabulary = 1 << 24;
inline constexpr int64_t kMaxPositions = 1 << 30;

// Names of the fields in the file, for the messages.
struct ConfigFieldNames {
  const char* kv_heads = "num_key_value_heads";
  const char* heads = "num_attention_heads";
  const char* head_dim = "head_dim";
  const char* hidden = "hidden_size";
};

// hidden / heads; throws Error(format) when it is not whole.
int64_t default_head_dim(const ModelConfig& config, const std::string& where,
                         const ConfigFieldNames& names);
// Relations among fields whose own ranges have been checked.
void check_config(const ModelConfig& config, const std::string& where,
                  const ConfigFieldNames& names);

inline constexpr const char* kSupportedArchitectures =
    "LlamaForCausalLM (llama), Qwen2ForCausalLM (qwen2)";

}  // namespace halftone
