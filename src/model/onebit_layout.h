// The tensors of a OneBit checkpoint in the released layout.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "halftone/io/safetensors.h"
#include "halftone/model/spec.h"

namespace halftone {

// Of a linear whose parts have these names behind its own.
namespace onebit_layout {
inline constexpr const char* kForm = "onebit post_layer_norm";
inline constexpr const char* kUnnormedForm = "onebit";  // has no such file
inline constexpr const char* kWeight = ".weight";
inline constexpr const char* kOutScale = ".weight_scale";
inline constexpr const char* kInScale = ".input_factor";
}  // namespace onebit_layout

// A tensor that a directory in Hugging Face's layout has to hold.
struct HfTensor {
  ExpectedWeight in_file;
  std::string name;            // in a decoder
  std::optional<DType> dtype;  // of bits, which are read as they are (U8: an I8); else of numbers
};

// Those of a model of full precision.
std::vector<HfTensor> dense_tensors(const DecoderSpec& spec);

// The same without the weights of the blocks' linears.
std::vector<HfTensor> unquantised_tensors(const DecoderSpec& spec);

// Those of a OneBit checkpoint. Whether a weight is packed, the file says.
std::vector<HfTensor> onebit_tensors(const DecoderSpec& spec, const Safetensors& file);

}  // namespace halftone
