// The tokenizer in a GGUF file, and the files that an export writes of it.
#include "halftone/text/tokenizer_files.h"
#include "model_use.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(gguf_tokenizer) {
  const std::string path = scratch().write("tokenizer.gguf", input);
  accepted([&] { use_tokenizer(*load_tokenizer(path)); });
  accepted([&] { end_tokens(path); });
  accepted([&] {
    const auto files = tokenizer_files(path);
    for (const auto& [name, bytes] : files) scratch().write(name, bytes);
    if (files.contains("tokenizer.json")) {
      accepted([&] { use_tokenizer(*load_tokenizer(scratch().path())); });
      accepted([&] { end_tokens(scratch().path()); });
    }
    for (const auto& [name, bytes] : files) scratch().remove(name);
  });
}

}  // namespace halftone::fuzz
