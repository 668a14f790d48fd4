// A token file without its seal, which is put behind it where its version has one, once as it is
// and once with the hash of the tokenizer that reads it.
#include "halftone/text/token_file.h"
#include "halftone/io/sealed_file.h"
#include "model_use.h"
#include "reliability/tiny_model.h"

namespace halftone::fuzz {
namespace {

constexpr size_t kVersionAt = 8, kHashAt = 16, kHashBytes = 64;

std::unique_ptr<Tokenizer> byte_tokenizer() {
  return load_tokenizer(scratch().write("tokenizer.json", testing::tiny_tokenizer_json()));
}

void read(std::string_view bytes, const Tokenizer& tokenizer) {
  const std::string path = scratch().write("text.tok", bytes);
  const bool sealed = bytes.size() > kVersionAt && bytes[kVersionAt] != 1;
  if (sealed && !accepted([&] { seal_file(path); })) return;
  accepted([&] {
    const std::vector<int32_t> ids = read_token_file(path, tokenizer);
    for (const int32_t id : ids)
      if (id < 0 || id >= tokenizer.vocab_size())
        throw std::logic_error("an id that the vocabulary has not");
    tokenizer.decode_text(ids);
  });
}

}  // namespace

HT_FUZZ_TARGET(token_file) {
  static const std::unique_ptr<Tokenizer> tokenizer = byte_tokenizer();
  read(input, *tokenizer);
  if (input.size() < kHashAt + kHashBytes) return;
  std::string own(input);
  own.replace(kHashAt, kHashBytes, tokenizer->hash());
  read(own, *tokenizer);
}

}  // namespace halftone::fuzz
