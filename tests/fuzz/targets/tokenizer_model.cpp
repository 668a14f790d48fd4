// A tokenizer.model of sentencepiece: with a byte more in front than the file has, whose bits say
// what lies beside it.
#include "halftone/text/tokenizer_files.h"
#include "model_use.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(tokenizer_model) {
  if (input.empty()) return;
  const auto beside = static_cast<unsigned char>(input[0]);
  scratch().remove("tokenizer_config.json");
  if (beside & 1)
    scratch().write("tokenizer_config.json",
                    beside & 2
                        ? R"({"tokenizer_class": "LlamaTokenizer", "legacy": false})"
                        : R"({"add_bos_token": true, "add_eos_token": true, "legacy": true})");
  const std::string path = scratch().write("tokenizer.model", input.substr(1));
  accepted([&] { use_tokenizer(*load_tokenizer(path)); });
  accepted([&] { end_tokens(path); });
  accepted([&] { tokenizer_files(scratch().path()); });
}

}  // namespace halftone::fuzz
