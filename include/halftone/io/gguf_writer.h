// Writes GGUF files, version 3 (gguf.h and gguf_metadata.h say what is where), aligned to 32 bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "halftone/io/atomic_file.h"
#include "halftone/io/gguf_quants.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// u32, i32, u64, f32, f64, bool, string, and arrays of i32, f32 and string.
using GgufValue = std::variant<uint32_t, int32_t, uint64_t, float, double, bool, std::string,
                               std::vector<int32_t>, std::vector<float>, std::vector<std::string>>;

struct GgufKey {
  std::string name;
  GgufValue value;
};

// A tensor to be written. `fill` makes its bytes, whole blocks of the type, when their turn has
// come, so that those of one tensor are held at a time.
struct GgufTensorSource {
  std::string name;
  const GgmlType* type;
  Shape shape;  // slowest first: [out, in]
  std::function<void(std::span<uint8_t> bytes)> fill;
};

// Bytes of a tensor. Throws std::invalid_argument where its rows are no whole blocks of the type.
uint64_t gguf_bytes(const GgmlType& type, const Shape& shape);

// The bytes of a tensor (F32 or F16) in a type: F32, F16 (rounded), Q8_0 (the nearest), or one that
// holds signs or whole multiples (quantize_exactly). False, `bytes` being spoilt, where such a type
// does not hold the numbers bit for bit.
bool gguf_encode(const GgmlType& type, const Tensor& tensor, std::span<uint8_t> bytes);

// Writes one file durably (atomic_file.h): keys and tensors in the order given. `check` may be
// empty. Throws Error(io); std::invalid_argument for names that a reader refuses, or that are given
// twice.
void write_gguf(const std::string& path, const std::vector<GgufKey>& keys,
                const std::vector<GgufTensorSource>& tensors, const WrittenCheck& check = {});

}  // namespace halftone
