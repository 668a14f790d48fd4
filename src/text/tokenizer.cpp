#include "halftone/text/tokenizer.h"

#include <filesystem>

#include "halftone/base/error.h"
#include "halftone/text/bpe.h"

namespace halftone {

std::vector<std::string> pretokenizer_patterns(const std::string& name, const std::string& source) {
  const std::string gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const std::string tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  if (name == "gpt2" || name == "gpt-2") return {gpt2};
  if (name == "smollm") return {R"(\p{N})", gpt2};
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") return {head + R"(\p{N}{1,3})" + tail};
  if (name == "qwen2") return {head + R"(\p{N})" + tail};
  throw_error(ErrorKind::format, "{}: pre-tokenizer '{}' is not known; known are gpt2, smollm, llama-bpe and qwen2", source, printable(name));
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  if (path.ends_with(".gguf")) return make_bpe(read_gguf_bpe(path));
  if (!std::filesystem::is_directory(path)) return make_bpe(read_tokenizer_json(path));
  if (std::filesystem::exists(path + "/tokenizer.json")) return make_bpe(read_tokenizer_json(path + "/tokenizer.json"));
  throw_error(ErrorKind::format, "{}: has no tokenizer.json", path);
}

}  // namespace halftone
