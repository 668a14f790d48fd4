// Typed access to one object of a config.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "halftone/base/error.h"

namespace halftone {

// null counts as absent, as it does in transformers. Every failure throws Error(format) naming
// file, field, value found and value expected.
class ConfigFields {
 public:
  using Json = nlohmann::json;

  ConfigFields(const Json& object, std::string where, std::string prefix = "")
      : object_(object), where_(std::move(where)), prefix_(std::move(prefix)) {}

  bool has(const char* key) const { return names(key) && !object_.at(key).is_null(); }
  bool names(const char* key) const { return object_.contains(key); }  // be it null
  const Json& at(const char* key) const { return object_.at(key); }
  const Json& json() const { return object_; }
  const std::string& where() const { return where_; }

  [[noreturn]] void fail(const std::string& key, const std::string& expected) const {
    throw_error(ErrorKind::format, "{}: {}{} is {}, expected {}", where_, prefix_, printable(key),
                object_.contains(key) ? printable(object_.at(key).dump()) : "missing", expected);
  }
  // For a key that is on no list.
  [[noreturn]] void fail_unknown(const std::string& key) const;

  int64_t whole(const char* key, int64_t low, int64_t high) const {
    expect(key, fmt::format("a whole number from {} to {}", low, high));
    return check_whole(key, at(key), low, high);
  }
  int64_t whole(const char* key, int64_t low, int64_t high, int64_t fallback) const {
    return has(key) ? whole(key, low, high) : fallback;
  }

  // A finite number from low to high.
  double real(const char* key, double low, double high) const {
    expect(key, fmt::format("a number from {} to {}", low, high));
    return check_real(key, at(key), low, high);
  }
  double real(const char* key, double low, double high, double fallback) const {
    return has(key) ? real(key, low, high) : fallback;
  }

  bool boolean(const char* key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!at(key).is_boolean()) fail(key, "true or false");
    return at(key).get<bool>();
  }

  std::string text(const char* key) const {
    if (!at(key).is_string()) fail(key, "a text");
    return at(key).get<std::string>();
  }

  // A whole number or a list of them.
  std::vector<int64_t> wholes(const char* key, int64_t low, int64_t high) const;
  // A list of `count` numbers.
  std::vector<double> reals(const char* key, size_t count, double low, double high) const;

  ConfigFields object(const char* key) const {
    if (!at(key).is_object()) fail(key, "an object");
    return {at(key), where_, prefix_ + key + "."};
  }

 private:
  void expect(const char* key, const std::string& expected) const {
    if (!has(key))
      throw_error(ErrorKind::format, "{}: {}{} is missing, expected {}", where_, prefix_, key,
                  expected);
  }
  int64_t check_whole(const char* key, const Json& value, int64_t low, int64_t high) const;
  double check_real(const char* key, const Json& value, double low, double high) const;

  const Json& object_;
  std::string where_, prefix_;
};

}  // namespace halftone
