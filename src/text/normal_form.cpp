#include "normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <memory>

#include "halftone/base/error.h"
#include "utf8.h"

namespace halftone {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}

void append_nfc(std::string_view valid, std::string& out) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                   static_cast<utf8proc_ssize_t>(valid.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(result, std::free);
  if (bytes < 0)
    throw_error(bytes == UTF8PROC_ERROR_NOMEM ? ErrorKind::memory : ErrorKind::format,
                "text: normal form C of {} bytes: {}", valid.size(), utf8proc_errmsg(bytes));
  out.append(reinterpret_cast<const char*>(result), static_cast<size_t>(bytes));
}

}  // namespace

std::string to_nfc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t valid = utf8_valid_end(text, at);
    if (valid > at) append_nfc(text.substr(at, valid - at), out);
    at = valid;
    while (at < text.size() && utf8_length(text, at) == 0) out += text[at++];
  }
  return out;
}

}  // namespace halftone
