// JSON has no numbers that are not finite. Halftone writes them as the texts that most languages
// read as numbers: "Infinity", "-Infinity", "NaN".
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace halftone {

// The JSON text of a value, every number that is not finite spelt out wherever it stands. Bytes of
// a text that are not UTF-8 (a path may have them) become U+FFFD. `indent` below 0: one line.
std::string json_text(nlohmann::ordered_json value, int indent = -1);

// A number, spelt out or not; nothing for any other value. null is NaN: files have it where a
// number was not finite when that was not spelt out.
std::optional<double> json_number(const nlohmann::json& value);

}  // namespace halftone
