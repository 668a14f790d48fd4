// A tokenizer.json, and behind zero bytes what may lie beside it.
#include "halftone/text/tokenizer_files.h"
#include "model_use.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(tokenizer_json) {
  write_parts(input, {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                      "added_tokens.json", "generation_config.json", "config.json"});
  accepted([&] { use_tokenizer(*load_tokenizer(scratch().path())); });
  accepted([&] { end_tokens(scratch().path()); });
  accepted([&] { tokenizer_files(scratch().path()); });
}

}  // namespace halftone::fuzz
