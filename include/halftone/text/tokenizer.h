// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

struct EncodeOptions {
  bool parse_special = true;        // "<|endoftext|>" in the text is that token
  bool add_special_tokens = true;   // what the model's tokenizer puts around a text (Llama: BOS)
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids of any bytes. decode(encode(x)) == x for a byte-level tokenizer with a token for every byte.
  virtual std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  virtual int64_t vocab_size() const = 0;               // largest id + 1
  virtual bool special(int32_t id) const = 0;
  virtual std::optional<int32_t> bos() const = 0;       // put in front of every text
  virtual std::optional<int32_t> eos() const = 0;       // ends a document
  virtual std::string hash() const = 0;                 // sha256 of all that decides ids
};

// From a Hugging Face directory (its tokenizer.json), a tokenizer.json or a .gguf.
// Throws Error(format) naming the file, the field, what was found and what is expected.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);

}  // namespace halftone
