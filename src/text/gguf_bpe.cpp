// Byte-level BPE from GGUF metadata (tokenizer.ggml.model = "gpt2").
#include "halftone/base/error.h"
#include "halftone/io/gguf_metadata.h"
#include "halftone/text/bpe.h"

namespace halftone {
namespace {

constexpr int64_t kControl = 3, kUserDefined = 4;  // of tokenizer.ggml.token_type

std::optional<int32_t> token_id(const GgufMetadata& metadata, const std::string& key, size_t vocabulary) {
  if (!metadata.has(key)) return std::nullopt;
  const int64_t id = metadata.get_int(key);
  if (id < 0 || id >= static_cast<int64_t>(vocabulary))
    throw_error(ErrorKind::format, "{}: {}: found {}, expected a token id below {}", metadata.path(), key, id, vocabulary);
  return static_cast<int32_t>(id);
}

}  // namespace

BpeDefinition read_gguf_bpe(const std::string& path) {
  const GgufMetadata metadata = GgufMetadata::read(path);
  BpeDefinition out;
  out.source = path;
  if (const std::string model = metadata.get_string("tokenizer.ggml.model"); model != "gpt2")
    throw_error(ErrorKind::format, "{}: tokenizer.ggml.model: found '{}', expected gpt2", path, printable(model));
  out.tokens = metadata.get_strings("tokenizer.ggml.tokens");
  out.patterns = pretokenizer_patterns(metadata.get_string("tokenizer.ggml.pre"), path);
  const std::vector<std::string> merges = metadata.get_strings("tokenizer.ggml.merges");
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t space = merges[i].find(' ', 1);
    if (space == std::string::npos || space + 1 == merges[i].size())
      throw_error(ErrorKind::format, "{}: tokenizer.ggml.merges[{}]: found '{}', expected two tokens with a space between", path, i, printable(merges[i]));
    out.merges.emplace_back(merges[i].substr(0, space), merges[i].substr(space + 1));
  }
  if (metadata.has("tokenizer.ggml.token_type")) {
    const std::vector<int64_t> types = metadata.get_ints("tokenizer.ggml.token_type");
    if (types.size() != out.tokens.size())
      throw_error(ErrorKind::format, "{}: tokenizer.ggml.token_type has {} entries, {} tokens expected", path, types.size(), out.tokens.size());
    for (size_t i = 0; i < types.size(); ++i)
      if (types[i] == kControl || types[i] == kUserDefined) out.added.push_back({static_cast<int32_t>(i), out.tokens[i], types[i] == kControl});
  }
  if (metadata.get_bool("tokenizer.ggml.add_bos_token", false)) out.bos = token_id(metadata, "tokenizer.ggml.bos_token_id", out.tokens.size());
  for (const BpeSpecial& token : out.added)
    if (token.text == "<|endoftext|>" || token.text == "<|end_of_text|>") out.eos = token.id;
  if (!out.eos) out.eos = token_id(metadata, "tokenizer.ggml.eos_token_id", out.tokens.size());
  out.ignore_merges = out.patterns == pretokenizer_patterns("llama-bpe", path);
  return out;
}

}  // namespace halftone
