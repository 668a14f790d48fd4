#include "halftone/io/stored_tensors.h"

#include <fmt/format.h>

#include <algorithm>

#include "halftone/base/sha256.h"

namespace halftone {

const StoredTensor* StoredTensors::find(const std::string& name) const {
  const auto at = std::ranges::lower_bound(tensors, name, {}, &StoredTensor::name);
  return at == tensors.end() || at->name != name ? nullptr : &*at;
}

StoredTensors stored_tensors(const std::map<std::string, Tensor>& tensors) {
  StoredTensors out;
  for (const auto& [name, tensor] : tensors) {
    const auto* data = static_cast<const uint8_t*>(tensor.raw());
    out.tensors.push_back(
        {name, dtype_name(tensor.dtype()), tensor.shape(), {data, tensor.bytes()}});
    out.owners.push_back(std::make_shared<Tensor>(tensor));
  }
  return out;
}

std::string tensors_digest(const StoredTensors& stored) {
  Sha256 digest;
  for (const StoredTensor& tensor : stored.tensors) {
    // Lengths in front keep two different lists from giving the same bytes.
    digest.update(fmt::format("{}:{} {} {}\n", tensor.name.size(), tensor.name, tensor.dtype,
                              shape_text(tensor.shape)));
    if (!tensor.bytes.empty()) digest.update(tensor.bytes.data(), tensor.bytes.size());
  }
  return digest.hex();
}

}  // namespace halftone
