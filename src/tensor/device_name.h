// How a recipe names a device.
#pragma once

#include <charconv>
#include <optional>
#include <string>

#include "halftone/base/error.h"

namespace halftone {

// The index in "cuda" (0) or "cuda:1"; none for "cpu". Throws Error(recipe) for any other text.
inline std::optional<int> gpu_index(const std::string& name) {
  if (name == "cpu") return {};
  if (name == "cuda") return 0;
  const std::string prefix = "cuda:";
  int index = -1;
  const char *begin = name.data() + prefix.size(), *end = name.data() + name.size();
  if (!name.starts_with(prefix) || std::from_chars(begin, end, index).ptr != end || index < 0)
    throw_error(ErrorKind::recipe, "device: found \"{}\", \"cpu\" or \"cuda:0\" expected", name);
  return index;
}

}  // namespace halftone
