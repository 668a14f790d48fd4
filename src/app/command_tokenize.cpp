#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "app/model_argument.h"
#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/text/documents.h"
#include "halftone/text/token_file.h"
#include "halftone/text/tokenizer.h"

namespace halftone {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// Whole numbers with white space between; none where the text holds anything else.
std::optional<Ids> plain_ids(std::string_view text) {
  Ids ids;
  for (size_t at = 0; (at = text.find_first_not_of(" \t\r\n", at)) != text.npos;) {
    const size_t end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end || id < 0) return std::nullopt;
    ids.push_back(id);
    at = end;
  }
  if (ids.empty()) return std::nullopt;
  return ids;
}

// The "ids" of what `tokenize --json` prints.
std::optional<Ids> json_ids(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("ids") || !json["ids"].is_array()) return std::nullopt;
  Ids ids;
  for (const Json& id : json["ids"]) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) return std::nullopt;
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// The ids that a file holds, else those of its text.
Ids ids_of(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  if (file_kind(options.text) == FileKind::tokens) return read_token_file(options.text, tokenizer);
  const std::string text = read_text(options.text);
  if (options.decode) {
    if (auto ids = plain_ids(text)) return *ids;
    if (auto ids = json_ids(text)) return *ids;
  }
  return tokenizer.encode(text);
}

std::string as_json(const Ids& ids, const Tokenizer& tokenizer, bool with_text) {
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  Json json{{"ids", ids},
            {"tokens", Json::array()},
            {"count", ids.size()},
            {"bos_token_id", or_null(tokenizer.bos())},
            {"eos_token_id", or_null(tokenizer.eos())},
            {"vocab_size", tokenizer.vocab_size()},
            {"hash", tokenizer.hash()}};
  for (const int32_t id : ids) json["tokens"].push_back(tokenizer.decode(std::span(&id, 1)));
  if (with_text) json["text"] = tokenizer.decode_text(ids);
  // A token may hold a part of a character.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_line(const Ids& ids) {
  std::string out;
  for (const int32_t id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
  return out + "\n";
}

}  // namespace

int tokenize_command(const TokenizeOptions& options) {
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer_argument(options.model);
  const Ids ids = ids_of(options, *tokenizer);
  const std::string out = options.json     ? as_json(ids, *tokenizer, options.decode)
                          : options.decode ? tokenizer->decode_text(ids)
                                           : as_line(ids);
  print_text(out);
  return 0;
}

}  // namespace halftone
