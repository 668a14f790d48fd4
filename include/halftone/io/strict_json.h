// JSON from files, read strictly: what two readers could understand in two ways is an error.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace halftone {

inline constexpr int kJsonDepth = 32;

// The value of a JSON text. Throws Error(format), naming `where`, on a syntax error, invalid UTF-8,
// a zero byte, a key given twice in one object, nesting deeper than `max_depth`, or anything but
// white space after the value.
nlohmann::json parse_strict_json(std::string_view text, const std::string& where,
                                 int max_depth = kJsonDepth);

// parse_strict_json of a file of at most `max_bytes` bytes.
nlohmann::json read_json_file(const std::string& path, uint64_t max_bytes,
                              int max_depth = kJsonDepth);

// What the JSON library found wrong, printable, without its error codes.
std::string json_error_text(const nlohmann::json::exception& error);

}  // namespace halftone
