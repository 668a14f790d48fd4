#include "config_fields.h"

#include "config_checks.h"

namespace halftone {

void ConfigFields::fail_unknown(const std::string& key) const {
  throw_error(ErrorKind::format, "{}: {}{} is {}, {}", where_, prefix_, printable(key),
              printable(object_.at(key).dump()), kUnknownKey);
}

std::vector<int64_t> ConfigFields::wholes(const char* key, int64_t low, int64_t high) const {
  if (!has(key)) return {};
  if (!at(key).is_array()) return {whole(key, low, high)};
  std::vector<int64_t> out;
  for (const Json& item : at(key)) out.push_back(check_whole(key, item, low, high));
  return out;
}

std::vector<double> ConfigFields::reals(const char* key, size_t count, double low,
                                        double high) const {
  const std::string expected = fmt::format("a list of {} numbers", count);
  expect(key, expected);
  if (!at(key).is_array() || at(key).size() != count) fail(key, expected);
  std::vector<double> out;
  for (const Json& item : at(key)) out.push_back(check_real(key, item, low, high));
  return out;
}

int64_t ConfigFields::check_whole(const char* key, const Json& value, int64_t low,
                                  int64_t high) const {
  const auto inside = [&] {
    if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
      return false;
    return value.is_number_integer() && low <= value.get<int64_t>() && value.get<int64_t>() <= high;
  };
  if (!inside()) fail(key, fmt::format("a whole number from {} to {}", low, high));
  return value.get<int64_t>();
}

double ConfigFields::check_real(const char* key, const Json& value, double low, double high) const {
  const auto inside = [&] {
    return value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
  };
  if (!inside()) fail(key, fmt::format("a number from {} to {}", low, high));
  return value.get<double>();
}

}  // namespace halftone
