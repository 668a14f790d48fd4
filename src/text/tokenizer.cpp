#include "halftone/text/tokenizer.h"

#include <filesystem>

#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/packed_file.h"
#include "halftone/text/bpe.h"
#include "halftone/text/ready_tokenizer.h"
#include "loaders.h"

namespace halftone {

std::vector<SplitStep> pretokenizer_steps(const std::string& name, const std::string& source) {
  const std::string gpt2 =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const std::string head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  const std::string tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (name == "gpt2" || name == "gpt-2") return {{gpt2}};
  if (name == "smollm") return {{R"(\p{N})"}, {gpt2}};
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3")
    return {{head + R"(\p{N}{1,3})" + tail}};
  if (name == "qwen2") return {{head + R"(\p{N})" + tail}};
  throw_error(ErrorKind::format,
              "{}: pre-tokenizer '{}' is not known; known are gpt2, smollm, llama-bpe and qwen2",
              source, printable(name));
}

namespace {

// The file that a tokenizer is read from.
struct TokenizerFile {
  enum class Kind { gguf, json, model, vocab } kind;
  std::string path;
};

TokenizerFile find_tokenizer(const std::string& path) {
  using Kind = TokenizerFile::Kind;
  const FileKind kind = file_kind(path);
  if (kind == FileKind::gguf) return {Kind::gguf, path};
  if (path.ends_with(".model")) return {Kind::model, path};
  if (kind != FileKind::directory && kind != FileKind::packed) return {Kind::json, path};
  const std::filesystem::path folder(path);
  const std::string json = folder / "tokenizer.json", model = folder / "tokenizer.model",
                    vocab = folder / "vocab.json";
  const bool has_model = exists_at(model);
  if (exists_at(json) && !(has_model && is_unigram_json(json))) return {Kind::json, json};
  if (has_model) return {Kind::model, model};
  if (exists_at(vocab) && exists_at((folder / "merges.txt").string())) return {Kind::vocab, vocab};
  throw_error(ErrorKind::format,
              "{}: found neither tokenizer.json nor tokenizer.model, nor vocab.json and merges.txt",
              path);
}

GgufTokenizer read_tokenizer(const TokenizerFile& file) {
  switch (file.kind) {
    case TokenizerFile::Kind::gguf:
      return read_gguf_tokenizer(GgufMetadata::read(file.path));
    case TokenizerFile::Kind::model:
      return read_sentencepiece_model(file.path, read_folder_settings(folder_of(file.path)));
    case TokenizerFile::Kind::vocab:
      return read_vocab_json(file.path);
    case TokenizerFile::Kind::json:
      break;
  }
  return read_tokenizer_json(file.path);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  if (file_kind(path) == FileKind::packed) {
    const PackedFile packed = PackedFile::open(path);
    if (const auto ready = packed.tokenizer())
      return load_ready_tokenizer(packed.map(), *ready, path);
  }
  const TokenizerFile file = find_tokenizer(path);
  // The library knows models that its lists do not tell.
  if (file.kind == TokenizerFile::Kind::model)
    return load_sentencepiece_model(file.path, read_folder_settings(folder_of(file.path)));
  GgufTokenizer definition = read_tokenizer(file);
  if (auto* bpe = std::get_if<BpeDefinition>(&definition)) return make_bpe(std::move(*bpe));
  return make_spm(std::move(std::get<SpmDefinition>(definition)));
}

GgufTokenizer read_tokenizer(const std::string& path) {
  return read_tokenizer(find_tokenizer(path));
}

std::optional<BpeDefinition> read_bpe(const std::string& path) {
  const TokenizerFile file = find_tokenizer(path);
  if (file.kind == TokenizerFile::Kind::model) return {};
  GgufTokenizer definition = read_tokenizer(file);
  if (auto* bpe = std::get_if<BpeDefinition>(&definition)) return std::move(*bpe);
  return {};
}

}  // namespace halftone
