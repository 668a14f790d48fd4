// What `inspect` says of texts and token files.
#pragma once

#include <string>

namespace halftone {

// `tokenizer`: a model or a tokenizer whose tokens are counted; empty: none.
int inspect_text(const std::string& path, const std::string& tokenizer, bool digest_alone,
                 bool json);

}  // namespace halftone
