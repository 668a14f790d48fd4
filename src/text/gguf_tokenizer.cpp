// Tokenizers from GGUF metadata.
#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/io/gguf_metadata.h"
#include "loaders.h"

namespace halftone {
namespace {

const std::string kPrefix = "tokenizer.ggml.";

std::optional<int32_t> token_id(const GgufMetadata& metadata, const std::string& name,
                                size_t vocabulary) {
  const std::string key = kPrefix + name;
  if (!metadata.has(key)) return std::nullopt;
  const int64_t id = metadata.get_int(key);
  if (id < 0 || id >= static_cast<int64_t>(vocabulary))
    throw_error(ErrorKind::format, "{}: {}: found {}, expected a token id below {}",
                metadata.path(), key, id, vocabulary);
  return static_cast<int32_t>(id);
}

// The token `name` where texts have it at one end: as `flag` says, else as `wanted`.
std::optional<int32_t> end_token(const GgufMetadata& metadata, const char* flag, bool wanted,
                                 const char* name, size_t vocabulary) {
  if (!metadata.get_bool(kPrefix + flag, wanted)) return std::nullopt;
  const auto id = token_id(metadata, name, vocabulary);
  if (!id)
    throw_error(ErrorKind::format, "{}: {}{} is missing; each text has that token at one end",
                metadata.path(), kPrefix, name);
  return id;
}

// Sets bos, behind and eos.
template <class Definition>
void read_ends(const GgufMetadata& metadata, bool bos_wanted, Definition& out) {
  const size_t vocabulary = out.tokens.size();
  out.bos = end_token(metadata, "add_bos_token", bos_wanted, "bos_token_id", vocabulary);
  if (const auto id = end_token(metadata, "add_eos_token", false, "eos_token_id", vocabulary))
    out.behind = {*id};
  out.eos = token_id(metadata, "eos_token_id", vocabulary);
  if (!out.eos) out.eos = choose_eos({}, TokenTable(out.tokens, {}, out.source), out.source);
}

// What begins and ends texts is found in them, whatever its type says.
std::vector<int32_t> ends_of(const std::optional<int32_t>& bos, const std::optional<int32_t>& eos) {
  std::vector<int32_t> out;
  for (const auto& id : {bos, eos})
    if (id) out.push_back(*id);
  return out;
}

std::vector<std::string> read_tokens(const GgufMetadata& metadata) {
  std::vector<std::string> tokens = metadata.get_strings(kPrefix + "tokens");
  if (tokens.empty() || tokens.size() > (size_t{1} << 24))
    throw_error(ErrorKind::format, "{}: {}tokens: found {} tokens, 1 .. {} expected",
                metadata.path(), kPrefix, tokens.size(), 1 << 24);
  return tokens;
}

// Empty where the file has none.
std::vector<SpmType> read_types(const GgufMetadata& metadata, size_t vocabulary) {
  const std::string key = kPrefix + "token_type";
  if (!metadata.has(key)) return {};
  std::vector<SpmType> types;
  for (const int64_t type : metadata.get_ints(key)) {
    if (type < 1 || type > 6)
      throw_error(ErrorKind::format, "{}: {}[{}]: found {}, expected a type in 1 .. 6",
                  metadata.path(), key, types.size(), type);
    types.push_back(static_cast<SpmType>(type));
  }
  if (types.size() != vocabulary)
    throw_error(ErrorKind::format, "{}: {} has {} entries, {} tokens expected", metadata.path(),
                key, types.size(), vocabulary);
  return types;
}

BpeDefinition read_bpe(const GgufMetadata& metadata) {
  BpeDefinition out;
  out.source = metadata.path();
  out.tokens = read_tokens(metadata);
  const std::string pre = metadata.get_string(kPrefix + "pre");
  out.steps = pretokenizer_steps(pre, out.source);
  const bool llama = out.steps == pretokenizer_steps("llama-bpe", out.source);
  out.ignore_merges = llama;
  if (pre == "qwen2") out.normalizer = {{.kind = NormalizeStep::Kind::nfc}};  // as its json says
  const std::vector<std::string> merges = metadata.get_strings(kPrefix + "merges");
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t space = merges[i].find(' ', 1);
    if (space == std::string::npos || space + 1 == merges[i].size())
      throw_error(ErrorKind::format,
                  "{}: {}merges[{}]: found '{}', expected two tokens with a space between",
                  out.source, kPrefix, i, printable(merges[i]));
    out.merges.emplace_back(merges[i].substr(0, space), merges[i].substr(space + 1));
  }
  const std::vector<SpmType> types = read_types(metadata, out.tokens.size());
  out.added = added_tokens(out.tokens, types);
  for (size_t i = 0; i < types.size(); ++i)
    if (types[i] == SpmType::unused) out.unused.push_back(static_cast<int32_t>(i));
  read_ends(metadata, llama, out);
  for (const int32_t id : ends_of(out.bos, out.eos))
    if (std::none_of(out.added.begin(), out.added.end(), [&](const auto& t) { return t.id == id; }))
      out.added.push_back({.id = id, .text = out.tokens[id], .special = true});
  return out;
}

SpmDefinition read_spm(const GgufMetadata& metadata) {
  SpmDefinition out;
  out.source = metadata.path();
  out.tokens = read_tokens(metadata);
  out.scores = metadata.get_floats(kPrefix + "scores");
  out.types = read_types(metadata, out.tokens.size());
  if (out.types.empty()) metadata.get_ints(kPrefix + "token_type");  // says that it is missing
  out.add_space_prefix = metadata.get_bool(kPrefix + "add_space_prefix", true);
  read_ends(metadata, true, out);
  for (const int32_t id : ends_of(out.bos, out.eos))
    if (static_cast<size_t>(id) < out.types.size() && out.types[id] == SpmType::normal)
      out.types[id] = SpmType::control;
  return out;
}

}  // namespace

GgufTokenizer read_gguf_tokenizer(const GgufMetadata& metadata) {
  const std::string model = metadata.get_string(kPrefix + "model");
  if (model == "gpt2") return read_bpe(metadata);
  if (model == "llama") return read_spm(metadata);
  throw_error(ErrorKind::format, "{}: {}model: found '{}', expected gpt2 or llama", metadata.path(),
              kPrefix, printable(model));
}

}  // namespace halftone
