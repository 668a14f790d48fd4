// Tokenizers from GGUF metadata.
#include "halftone/base/error.h"
#include "halftone/io/gguf_metadata.h"
#include "halftone/text/bpe.h"
#include "halftone/text/spm.h"
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

std::optional<int32_t> bos_token(const GgufMetadata& metadata, bool wanted, size_t vocabulary) {
  if (!metadata.get_bool(kPrefix + "add_bos_token", wanted)) return std::nullopt;
  const auto bos = token_id(metadata, "bos_token_id", vocabulary);
  if (!bos)
    throw_error(ErrorKind::format,
                "{}: {}bos_token_id is missing; each text begins with that token", metadata.path(),
                kPrefix);
  return bos;
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
  out.nfc = pre == "qwen2";  // as its tokenizer.json says
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
  for (size_t i = 0; i < types.size(); ++i)
    if (types[i] == SpmType::control || types[i] == SpmType::user_defined)
      out.added.push_back({.id = static_cast<int32_t>(i),
                           .text = out.tokens[i],
                           .special = types[i] == SpmType::control});
  out.bos = bos_token(metadata, llama, out.tokens.size());
  out.eos = token_id(metadata, "eos_token_id", out.tokens.size());
  if (!out.eos) out.eos = choose_eos({}, out.tokens, out.source);
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
  out.bos = bos_token(metadata, true, out.tokens.size());
  out.eos = token_id(metadata, "eos_token_id", out.tokens.size());
  if (!out.eos) out.eos = choose_eos({}, out.tokens, out.source);
  return out;
}

}  // namespace

std::unique_ptr<Tokenizer> load_gguf_tokenizer(const std::string& path) {
  const GgufMetadata metadata = GgufMetadata::read(path);
  const std::string model = metadata.get_string(kPrefix + "model");
  if (model == "gpt2") return make_bpe(read_bpe(metadata));
  if (model == "llama") return make_spm(read_spm(metadata));
  throw_error(ErrorKind::format, "{}: {}model: found '{}', expected gpt2 or llama", path, kPrefix,
              printable(model));
}

}  // namespace halftone
