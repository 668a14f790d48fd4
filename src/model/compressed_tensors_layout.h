// Linears packed as the compressed-tensors library has them, two bits a weight.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config_fields.h"
#include "onebit_layout.h"

namespace halftone {

// Of a linear whose parts have these names behind its own.
namespace compressed_layout {
inline constexpr const char* kCodes = ".weight_packed";
inline constexpr const char* kScale = ".weight_scale";
inline constexpr const char* kShape = ".weight_shape";
}  // namespace compressed_layout

// Inputs that share a scale: a number, or all that a row has.
inline constexpr int64_t kWholeRow = 0;
inline int64_t width_of(int64_t group, int64_t in) {
  return group == kWholeRow ? in : group;
}

// The group of a config.json whose quantization_config is that of such linears; nothing where it
// has none. Throws Error(format) naming the field, what it is and what is expected where the
// weights are packed in another way, and for a field that is on no list.
std::optional<int64_t> code_group(const ConfigFields& config);
std::optional<int64_t> code_group(const std::string& config_path);

// The tensors of a model whose blocks' linears are all packed. Throws Error(format), naming `path`,
// where a linear's inputs are no multiple of the group.
std::vector<HfTensor> code_tensors(const DecoderSpec& spec, int64_t group, const std::string& path);

}  // namespace halftone
