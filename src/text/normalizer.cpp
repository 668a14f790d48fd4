#include "normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <memory>

#include "halftone/base/error.h"
#include "utf8.h"

namespace halftone {
namespace {

using Kind = NormalizeStep::Kind;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}

utf8proc_option_t options_of(Kind form) {
  switch (form) {
    case Kind::nfc:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    case Kind::nfkc:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case Kind::nfkd:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
    default:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  }
}

void append_normal_form(Kind form, std::string_view valid, std::string& out) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                   static_cast<utf8proc_ssize_t>(valid.size()), &result, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(result, std::free);
  if (bytes < 0)
    throw_error(bytes == UTF8PROC_ERROR_NOMEM ? ErrorKind::memory : ErrorKind::format,
                "text: normal form of {} bytes: {}", valid.size(), utf8proc_errmsg(bytes));
  out.append(reinterpret_cast<const char*>(result), static_cast<size_t>(bytes));
}

void append_lowercase(std::string_view valid, std::string& out) {
  for (size_t at = 0; at < valid.size();) {
    const size_t length = utf8_length(valid, at);
    const uint32_t c = code_point(valid.substr(at, length));
    at += length;
    if (c == 0x130)
      out += "i\xcc\x87";  // the one letter whose small form has two characters
    else
      append_utf8(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

// Normal forms and small letters: each run of UTF-8 by itself.
std::string mapped(Kind kind, std::string_view text) {
  if (kind != Kind::lowercase && is_ascii(text)) return std::string(text);
  std::string out;
  for_each_utf8_run(
      text,
      [&](std::string_view valid) {
        if (kind == Kind::lowercase)
          append_lowercase(valid, out);
        else
          append_normal_form(kind, valid, out);
      },
      [&](std::string_view byte) { out += byte; });
  return out;
}

}  // namespace

Normalizer::Normalizer(const std::vector<NormalizeStep>& steps, const std::string& source) {
  for (const NormalizeStep& step : steps) {
    steps_.push_back({step, std::nullopt});
    if (step.kind == Kind::replace && !step.literal)
      steps_.back().pattern.emplace(step.pattern, source);
  }
}

// `lead`: bytes at the start of the text, then of the result, that stand for the first character.
std::string Normalizer::replace(const Step& step, std::string_view text, size_t& lead) {
  const std::string& content = step.what.content;
  std::string out;
  size_t lead_out = 0;
  const auto put = [&](size_t begin, size_t end, bool is_match) {
    const std::string_view piece = is_match ? content : text.substr(begin, end - begin);
    if (is_match ? end <= lead : begin < lead)
      lead_out += is_match ? piece.size() : std::min(end, lead) - begin;
    out += piece;
  };
  if (step.what.literal) {
    const std::string& literal = step.what.pattern;
    size_t done = 0;
    for (size_t at = text.find(literal); at != text.npos; at = text.find(literal, done)) {
      if (at > done) put(done, at, false);
      done = at + literal.size();
      put(at, done, true);
    }
    if (done < text.size()) put(done, text.size(), false);
  } else {
    Pattern::Search search(*step.pattern, text.size());
    for_each_utf8_run(
        text,
        [&](std::string_view run) {
          const size_t offset = static_cast<size_t>(run.data() - text.data());
          search.start(run);
          for (Pattern::Piece piece; search.next(piece);)
            put(offset + piece.begin, offset + piece.end, piece.is_match);
        },
        [&](std::string_view byte) { out += byte; });
  }
  lead = lead_out;
  return out;
}

std::string Normalizer::apply(std::string_view text, bool* starts) const {
  std::string out(text);
  size_t lead = text.empty() ? 0 : character_length(text, 0);
  for (const Step& step : steps_) {
    if (out.empty()) break;
    if (step.what.kind == Kind::prepend) {
      out = step.what.content + out;
      if (lead > 0) lead += step.what.content.size();
    } else if (step.what.kind == Kind::replace) {
      out = replace(step, out, lead);
    } else {
      out = mapped(step.what.kind, out);
      if (lead > 0) lead = out.empty() ? 0 : character_length(out, 0);
    }
  }
  if (starts) *starts = lead > 0;
  return out;
}

}  // namespace halftone
