// A safetensors file. An input that starts with '{' is a header, as far as its last '}': its length
// is put in front and data of the size that it speaks of behind it. Any other input is a file as it
// is.
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "halftone/io/safetensors.h"
#include "model_use.h"

namespace halftone::fuzz {
namespace {

constexpr uint64_t kMostData = 1 << 16;

// The end of the last tensor that a header speaks of, where it can be understood at all.
uint64_t data_bytes(std::string_view header) {
  uint64_t out = 0;
  const auto json = nlohmann::json::parse(header, nullptr, false);
  if (!json.is_object()) return 0;
  for (const auto& [name, tensor] : json.items()) {
    if (!tensor.is_object() || !tensor.contains("data_offsets")) continue;
    for (const auto& offset : tensor["data_offsets"])
      if (offset.is_number_unsigned()) out = std::max(out, offset.get<uint64_t>());
  }
  return std::min(out, kMostData);
}

std::string file_of(std::string_view input) {
  if (!input.starts_with('{')) return std::string(input);
  const std::string_view header = input.substr(0, input.rfind('}') + 1);
  std::string out(8, '\0');
  const uint64_t bytes = header.size();
  std::memcpy(out.data(), &bytes, sizeof bytes);
  out += header;
  std::string data(input.substr(header.size()));
  data.resize(data_bytes(header), '\1');
  return out + data;
}

}  // namespace

HT_FUZZ_TARGET(safetensors_header) {
  const std::string path = scratch().write("model.safetensors", file_of(input));
  accepted([&] { use_inspection(path); });
  accepted([&] { tensors_digest(list_safetensors(path)); });
  accepted([&] {
    const Safetensors file = read_safetensors(path);
    for (const auto& [name, tensor] : file.tensors) touch(tensor.raw(), tensor.bytes());
    // What could be read can be written and is the same when it is read again.
    const std::string again = scratch().file("again.safetensors");
    write_safetensors(again, file.tensors, file.metadata, file.int8);
    const Safetensors back = read_safetensors(again);
    scratch().remove("again.safetensors");
    if (back.metadata != file.metadata || back.int8 != file.int8 ||
        tensors_digest(stored_tensors(back.tensors)) !=
            tensors_digest(stored_tensors(file.tensors)))
      throw std::logic_error("what was written is read other than it was");
  });
}

}  // namespace halftone::fuzz
