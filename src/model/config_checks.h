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
inline constexpr double kMinTheta = 1, kMaxTheta = 1e12;
inline constexpr double kMinRopeFactor = 1e-6, kMaxRopeFactor = 1e6;

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
// Relations among fields whose own ranges have been checked: heads, and rotary settings.
void check_heads(const ModelConfig& config, const std::string& where,
                 const ConfigFieldNames& names);
void check_scaling(const ModelConfig& config, const std::string& where);

// YaRN's factor on cos and sin where a file names none: 1 + 0.1 mscale ln(factor).
double yarn_mscale(double factor, double mscale = 1);

// "default", "linear", ...: rope_type of a config.json.
const char* rope_type_name(RopeScaling::Kind kind);

// What a message says of a key that is on no list.
inline constexpr const char* kUnknownKey =
    "which is on no list of keys: whether it changes what the model computes is not known; remove "
    "it from the file if it does not";

std::string supported_architectures();  // for messages

}  // namespace halftone
