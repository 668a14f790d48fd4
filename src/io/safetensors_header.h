// The JSON header of a safetensors file, parsed in one pass that keeps nothing but its entries.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

struct SafetensorsHeader {
  struct Entry {
    std::string name;
    std::string dtype;
    std::vector<uint64_t> shape;
    std::vector<uint64_t> offsets;  // begin, end
  };
  std::vector<Entry> entries;  // in the order of the text
  std::map<std::string, std::string> metadata;
};

// Checks the text's structure: keys, types, whole numbers; not the meaning of the numbers.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& path);

}  // namespace halftone
