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
  bool parse_special = true;  // "<|endoftext|>" in the text is that token
  bool add_special_tokens =
      true;  // what the model's tokenizer puts in front of a text (Llama: BOS) and behind it
};

// Objects do not change once they are made, and may be used from many threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids of any bytes. With add_special_tokens = false, decode(encode(x)) == x for a byte-level
  // tokenizer with a token for every byte (bpe.h); sentencepiece puts a space in front (spm.h).
  virtual std::vector<int32_t> encode(std::string_view text,
                                      const EncodeOptions& options = {}) const = 0;
  // The bytes of each token, one after another: decode(a + b) == decode(a) + decode(b). A character
  // may be spread over tokens. An id without a token gives nothing: models have more rows than
  // their tokenizer has tokens. Throws std::invalid_argument for a negative id.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  // The same as a whole text: without the space that encode puts in front of one.
  virtual std::string decode_text(std::span<const int32_t> ids) const = 0;
  virtual int64_t vocab_size() const = 0;          // largest id + 1
  virtual bool known(int32_t id) const = 0;        // has a token: ids may leave holes
  virtual bool special(int32_t id) const = 0;      // a control token
  virtual std::optional<int32_t> bos() const = 0;  // put in front of every text
  virtual std::optional<int32_t> eos() const = 0;  // ends a document
  virtual std::string hash() const = 0;            // sha256 of all that decides ids
};

// From a tokenizer.json of BPE (bpe.h), a tokenizer.model, a .gguf (models gpt2 and llama), or a
// folder: its tokenizer.json, else its tokenizer.model, which is also taken where the
// tokenizer.json is of the kind Unigram, which is not read, else its vocab.json and merges.txt
// (GPT-2, OPT). What lies beside the two belongs to
// them, as in Hugging Face's AutoTokenizer: added tokens and special tokens that only
// tokenizer_config.json names, or special_tokens_map.json and added_tokens.json where that has no
// added_tokens_decoder; for a tokenizer.model also whether a token is put in front of texts. What a
// tokenizer.json says is done as it says, whatever tokenizer_class is named beside it. The
// end token is that of the first of tokenizer_config.json, special_tokens_map.json,
// generation_config.json and config.json that names one, else the file's own or "<|endoftext|>",
// "<|end_of_text|>" or "</s>".
// Throws Error(format) naming the file, the field, what was found and what is expected.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);

}  // namespace halftone
