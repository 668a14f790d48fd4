// tokenizer.* keys: lists of tokens, special tokens, chat templates.
#include "halftone/text/gguf_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gguf_vocabulary.h"
#include "halftone/base/error.h"
#include "halftone/io/strict_json.h"
#include "halftone/text/chat_template.h"
#include "halftone/text/tokenizer_files.h"

namespace halftone {
namespace {

using Json = nlohmann::json;
using Files = std::map<std::string, std::string>;
using Id = std::optional<int64_t>;

const std::string kPrefix = "tokenizer.ggml.", kChat = "tokenizer.chat_template";

Json json_of(const Files& files, const char* name) {
  const auto found = files.find(name);
  return found == files.end() ? Json::object() : parse_strict_json(found->second, name);
}

// Writes the keys of one tokenizer.
class Writer {
 public:
  Writer(GgufVocabulary vocabulary, const Files& files, const ModelTokens& model)
      : vocabulary_(std::move(vocabulary)),
        files_(files),
        config_(json_of(files, "tokenizer_config.json")),
        model_(model) {}

  void put_lists(const std::string& source);
  // `bos`: put in front of every text, `behind` it what follows; `eos` ends a document, `ends` are
  // all that do.
  void put_ends(Id bos, const std::vector<int32_t>& behind, Id eos,
                const std::vector<int32_t>& ends, const std::string& source);
  void put_templates();
  GgufTokens done() { return {std::move(keys_), std::move(vocabulary_.notes)}; }

 private:
  void put(const std::string& name, GgufValue value) {
    keys_.push_back({kPrefix + name, std::move(value)});
  }
  void put_id(const std::string& name, Id id) {
    if (id && *id >= 0 && *id < model_.rows) put(name + "_token_id", static_cast<uint32_t>(*id));
  }
  void fill_rows(const std::string& source);
  Id named(const char* key) const;

  GgufVocabulary vocabulary_;
  const Files& files_;
  Json config_;
  ModelTokens model_;
  std::vector<GgufKey> keys_;
};

// The id of a token that tokenizer_config.json names, as text or as an object with its content.
Id Writer::named(const char* key) const {
  if (!config_.is_object() || !config_.contains(key)) return {};
  const Json& value = config_.at(key);
  const Json text = value.is_object() && value.contains("content") ? value.at("content") : value;
  if (!text.is_string()) return {};
  const auto& tokens = vocabulary_.tokens;
  const auto at = std::ranges::find(tokens, text.get<std::string>());
  if (at == tokens.end()) return {};
  return at - tokens.begin();
}

// llama.cpp's converters name rows without a token like this; no text may be a token's twice.
void Writer::fill_rows(const std::string& source) {
  const size_t rows = static_cast<size_t>(model_.rows);
  if (vocabulary_.tokens.size() > rows + 1)
    throw_error(ErrorKind::recipe, "{}: the tokenizer has {} tokens, the model's embedding {} rows",
                source, vocabulary_.tokens.size(), rows);
  if (vocabulary_.tokens.size() > rows)
    vocabulary_.notes.push_back("a token behind the embedding's rows is left out");
  vocabulary_.tokens.resize(rows);
  vocabulary_.types.resize(rows, SpmType::unused);
  for (size_t id = 0; id < rows; ++id)
    for (int again = 0; vocabulary_.tokens[id].empty(); ++again) {
      const std::string text = fmt::format("[PAD{}{}]", id, std::string(again, '_'));
      if (std::ranges::find(vocabulary_.tokens, text) == vocabulary_.tokens.end())
        vocabulary_.tokens[id] = text;
    }
}

void Writer::put_lists(const std::string& source) {
  fill_rows(source);
  std::vector<int32_t> types;
  for (const SpmType type : vocabulary_.types) types.push_back(static_cast<int32_t>(type));
  put("model", vocabulary_.model);
  put("pre", vocabulary_.pre);
  put("tokens", vocabulary_.tokens);
  if (vocabulary_.model == "llama") {
    vocabulary_.scores.resize(types.size(), -1e4f);
    put("scores", vocabulary_.scores);
  }
  put("token_type", std::move(types));
  if (vocabulary_.model == "gpt2") put("merges", vocabulary_.merges);
}

void Writer::put_ends(Id bos, const std::vector<int32_t>& behind, Id eos,
                      const std::vector<int32_t>& ends, const std::string& source) {
  if (behind.size() > 1 || (behind.size() == 1 && eos != behind[0]))
    throw_error(ErrorKind::recipe,
                "{}: llama.cpp has no such tokenizer: {} tokens are put behind a text, at most the "
                "end token expected",
                source, behind.size());
  put_id("bos", bos ? bos : model_.bos ? model_.bos : named("bos_token"));
  put_id("eos", eos);
  // llama.cpp ends a text at any of the three.
  std::vector<const char*> others = {"eom", "eot"};
  for (const int32_t id : ends) {
    if (id == eos || others.empty()) continue;
    put_id(others.back(), id);
    others.pop_back();
  }
  put_id("unknown", vocabulary_.unknown ? Id(*vocabulary_.unknown) : named("unk_token"));
  put_id("padding", model_.pad ? model_.pad : named("pad_token"));
  put("add_bos_token", bos.has_value());
  put("add_eos_token", !behind.empty());
  if (vocabulary_.model == "llama") put("add_space_prefix", vocabulary_.add_space_prefix);
}

void Writer::put_templates() {
  std::vector<std::string> names;
  for (const auto& [name, text] : chat_templates(files_)) {
    if (name != "default") names.push_back(name);
    keys_.push_back({name == "default" ? kChat : kChat + "." + name, text});
  }
  if (!names.empty()) keys_.push_back({"tokenizer.chat_templates", names});
}

}  // namespace

GgufTokens gguf_tokens(const std::string& path, const Files& files, const ModelTokens& model) {
  return std::visit(
      [&](const auto& definition) {
        Writer writer(gguf_vocabulary(definition), files, model);
        writer.put_lists(definition.source);
        writer.put_ends(definition.bos, definition.behind, definition.eos, end_tokens(path),
                        definition.source);
        writer.put_templates();
        return writer.done();
      },
      read_tokenizer(path));
}

}  // namespace halftone
