#include "halftone/io/json_numbers.h"

#include <cmath>
#include <limits>

#include "halftone/base/number_text.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void spell_out(nlohmann::ordered_json& value) {
  if (value.is_structured())
    for (auto& inner : value) spell_out(inner);
  else if (value.is_number_float() && !std::isfinite(value.get<double>()))
    value = exact_text(value.get<double>());
}

}  // namespace

std::string json_text(nlohmann::ordered_json value, int indent) {
  spell_out(value);
  return value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::optional<double> json_number(const nlohmann::json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_null()) return kNan;
  for (const double number : {kInfinity, -kInfinity, kNan})
    if (value == exact_text(number)) return number;
  return std::nullopt;
}

}  // namespace halftone
