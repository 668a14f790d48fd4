#include <fcntl.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "descriptor.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/safetensors.h"
#include "safetensors_layout.h"

namespace halftone {
namespace {

// A dtype's name, and its place in the reference implementation's order, by alignment.
struct StoredDtype {
  int rank;
  const char* name;
};

StoredDtype stored_dtype(DType dtype, bool int8) {
  if (int8) return {1, kInt8};
  const auto named = [&](int rank) { return StoredDtype{rank, dtype_name(dtype)}; };
  switch (dtype) {
    case DType::u8:
      return named(0);
    case DType::f16:
      return named(2);
    case DType::bf16:
      return named(3);
    case DType::i32:
      return named(4);
    case DType::f32:
      return named(5);
    case DType::f64:
      return named(6);
    case DType::i64:
      return named(7);
    case DType::q8_0:
      break;
  }
  throw std::invalid_argument(
      fmt::format("write_safetensors: dtype {}, which the format lacks", dtype_name(dtype)));
}

std::string json_text(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw std::invalid_argument(
        fmt::format("write_safetensors: '{}' is not valid UTF-8", printable(text)));
  }
}

struct Item {
  std::string name;
  Tensor tensor;
  StoredDtype dtype;
};

std::string make_header(const std::vector<Item>& items,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  const auto separate = [&] {
    if (text.size() > 1) text += ',';
  };
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    bool first = true;
    for (const auto& [key, value] : metadata) {
      if (!first) text += ',';
      first = false;
      text += json_text(key) + ':' + json_text(value);
    }
    text += '}';
  }
  uint64_t at = 0;
  for (const auto& [name, tensor, dtype] : items) {
    separate();
    text +=
        fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", json_text(name),
                    dtype.name, fmt::join(tensor.shape(), ","), at, at + tensor.bytes());
    at += tensor.bytes();
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::set<std::string>& int8) {
  std::vector<Item> items;
  for (const auto& [name, tensor] : tensors) {
    require(name != "__metadata__" && name.find('\0') == name.npos && name.size() <= 1024,
            "write_safetensors: '{}' cannot be the name of a tensor", printable(name));
    require(tensor.defined(), "write_safetensors: tensor '{}' is empty", printable(name));
    require(!int8.contains(name) || tensor.dtype() == DType::u8,
            "write_safetensors: tensor '{}' is {}, expected the bytes of an I8", printable(name),
            dtype_name(tensor.dtype()));
    items.push_back({name, tensor, stored_dtype(tensor.dtype(), int8.contains(name))});
  }
  std::ranges::stable_sort(items, std::greater{}, [](const Item& item) { return item.dtype.rank; });
  const std::string header = make_header(items, metadata);
  const uint64_t header_size = header.size();

  write_file_durably(path, [&](const std::string& temporary) {
    Descriptor file(temporary, O_WRONLY | O_TRUNC, path, "create its temporary file");
    file.write(&header_size, sizeof header_size);
    file.write(header.data(), header.size());
    for (const auto& [name, tensor, dtype] : items) file.write(tensor.raw(), tensor.bytes());
    file.close();
  });
}

}  // namespace halftone
