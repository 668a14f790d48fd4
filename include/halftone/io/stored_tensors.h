// Tensors as files hold them, whether or not their numbers can be read here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

struct StoredTensor {
  std::string name;
  std::string dtype;  // in the format's words: "BF16", "F8_E4M3", "Q4_K", "type 77"
  Shape shape;        // slowest first
  std::span<const uint8_t> bytes;
};

struct StoredTensors {
  std::vector<StoredTensor> tensors;                // in the order of names
  uint64_t file_bytes = 0;                          // of the files that hold them
  std::vector<std::shared_ptr<const void>> owners;  // keep the bytes alive

  const StoredTensor* find(const std::string& name) const;  // nullptr: not there
};

StoredTensors stored_tensors(const std::map<std::string, Tensor>& tensors);  // of no file

// SHA-256 over name, dtype, shape and bytes of each tensor in the order of names: equal for equal
// tensors, whatever the file around them.
std::string tensors_digest(const StoredTensors& stored);

}  // namespace halftone
