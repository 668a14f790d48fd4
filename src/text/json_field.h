// A value of a JSON file with its place, so that every complaint names it.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/error.h"

namespace halftone {

struct JsonField {
  const nlohmann::json& value;
  std::string file, name;

  [[noreturn]] void wrong(std::string_view expected) const {
    using Json = nlohmann::json;
    throw_error(ErrorKind::format, "{}: {}: found {}, expected {}", file,
                name.empty() ? "the file" : name,
                printable(value.dump(-1, ' ', false, Json::error_handler_t::replace)), expected);
  }
  JsonField at(const std::string& key) const {
    if (!value.is_object()) wrong("an object");
    const auto it = value.find(key);
    if (it == value.end())
      throw_error(ErrorKind::format, "{}: {} is missing", file,
                  name.empty() ? key : name + "." + key);
    return {*it, file, name.empty() ? key : name + "." + key};
  }
  // Whether there is a value other than null.
  bool has(const std::string& key) const {
    return value.is_object() && value.contains(key) && !value.at(key).is_null();
  }
  std::string text() const {
    if (!value.is_string()) wrong("a string");
    return value.get<std::string>();
  }
  bool flag() const {
    if (!value.is_boolean()) wrong("true or false");
    return value.get<bool>();
  }
  bool flag(const std::string& key, bool fallback) const {
    return has(key) ? at(key).flag() : fallback;
  }
  int64_t id(int64_t most) const { return whole(0, most, "a token id"); }
  // An id of a setting; nothing for -1, which some configurations spell "no such token" with.
  std::optional<int64_t> id_or_none(int64_t most) const {
    if (value == -1) return std::nullopt;
    return id(most);
  }
  int64_t whole(int64_t low, int64_t high, const char* what = "a whole number") const {
    const bool fits = value.is_number_unsigned()
                          ? value.get<uint64_t>() <= static_cast<uint64_t>(high)
                          : value.is_number_integer() && value.get<int64_t>() >= low;
    if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high)
      wrong(fmt::format("{} in {} .. {}", what, low, high));
    return value.get<int64_t>();
  }
  std::vector<JsonField> items() const {
    if (!value.is_array()) wrong("an array");
    std::vector<JsonField> out;
    out.reserve(value.size());
    for (size_t i = 0; i < value.size(); ++i)
      out.push_back({value[i], file, fmt::format("{}[{}]", name, i)});
    return out;
  }
};

}  // namespace halftone
