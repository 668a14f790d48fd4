#include "halftone/io/strict_json.h"

#include <set>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/io/text_file.h"

namespace halftone {

nlohmann::json parse_strict_json(std::string_view text, const std::string& where, int max_depth) {
  using Json = nlohmann::json;
  // The parser would take a zero byte for the end of the text.
  if (const size_t at = text.find('\0'); at != text.npos)
    throw_error(ErrorKind::format, "{}: byte {}: a zero byte, JSON text is expected", where, at);
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (depth >= max_depth)
          throw_error(ErrorKind::format, "{}: JSON nested deeper than {} levels", where, max_depth);
        keys.emplace_back();
        break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end:
        keys.pop_back();
        break;
      case Json::parse_event_t::key:
        if (!keys.back().insert(parsed.get<std::string>()).second)
          throw_error(ErrorKind::format, "{}: key '{}' is given twice in one object", where,
                      printable(parsed.get<std::string>()));
        break;
      case Json::parse_event_t::value:
        break;
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::exception& error) {
    throw_error(ErrorKind::format, "{}: not valid JSON: {}", where, json_error_text(error));
  }
}

std::string json_error_text(const nlohmann::json::exception& error) {
  const std::string_view text = error.what();
  const size_t code = text.find("] ");
  return printable(code == text.npos ? text : text.substr(code + 2));
}

nlohmann::json read_json_file(const std::string& path, uint64_t max_bytes, int max_depth) {
  return parse_strict_json(read_text_file(path, max_bytes), path, max_depth);
}

}  // namespace halftone
