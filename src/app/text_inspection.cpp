#include "text_inspection.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "app/console.h"
#include "app/model_argument.h"
#include "halftone/base/error.h"
#include "halftone/io/json_numbers.h"
#include "halftone/text/text_statistics.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

Json lengths_object(const Lengths& lengths) {
  return {{"shortest", lengths.shortest}, {"median", lengths.median}, {"longest", lengths.longest}};
}

std::string statistics_json(const std::string& path, const TextStatistics& found) {
  Json out{{"path", path}, {"format", found.format}, {"digest", found.digest}};
  if (found.documents) out["documents"] = *found.documents;
  if (const auto& text = found.text) {
    out["bytes"] = text->bytes;
    out["characters"] = text->characters;
  }
  if (found.tokens) out["tokens"] = *found.tokens;
  if (found.text && found.tokens) out["bytes_per_token"] = share(found.text->bytes, *found.tokens);
  if (found.text) out["document_bytes"] = lengths_object(found.text->lengths);
  if (found.token_lengths) out["document_tokens"] = lengths_object(*found.token_lengths);
  if (found.text) {
    out["wikitext_documents"] = found.text->wikitext;
    out["duplicate_documents"] = found.text->duplicates;
  }
  return json_text(std::move(out), 2);
}

void print_lengths(const char* what, const Lengths& lengths) {
  print("{:<13} shortest {}, median {}, longest {} {}\n", "of a document", lengths.shortest,
        lengths.median, lengths.longest, what);
}

void print_statistics(const TextStatistics& found) {
  print("format        {}\n", found.format);
  if (found.documents) print("documents     {}\n", *found.documents);
  if (const auto& text = found.text)
    print("size          {} bytes, {} characters\n", text->bytes, text->characters);
  if (found.tokens) print("tokens        {}", *found.tokens);
  if (found.tokens && found.text)
    print(", {:.3f} bytes each", share(found.text->bytes, *found.tokens));
  if (found.tokens) print("\n");
  if (found.text) print_lengths("bytes", found.text->lengths);
  if (found.token_lengths) print_lengths("tokens", *found.token_lengths);
  if (const auto& text = found.text)
    print(
        "WikiText      {} documents ({:.1f} %) have its marks @-@, @,@ or @.@\n"
        "duplicates    {} documents ({:.1f} %) stood there before\n",
        text->wikitext, 100 * share(text->wikitext, *found.documents), text->duplicates,
        100 * share(text->duplicates, *found.documents));
  else
    print("texts         need the tokenizer: --tokenizer\n");
  print("digest        {}\n", found.digest);
}

}  // namespace

int inspect_text(const std::string& path, const std::string& tokenizer, bool digest_alone,
                 bool json) {
  std::unique_ptr<Tokenizer> tokens;
  if (!tokenizer.empty()) tokens = load_tokenizer_argument(tokenizer);
  const TextStatistics found = text_statistics(path, tokens.get());
  if (digest_alone && json)
    print("{}\n", json_text({{"path", path}, {"digest", found.digest}}, 2));
  else if (digest_alone)
    print("{}\n", found.digest);
  else if (json)
    print("{}\n", statistics_json(path, found));
  else
    print_statistics(found);
  return 0;
}

}  // namespace halftone
