// Text files as documents.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halftone {

// The bytes of a text file, unpacked where they are gzip's. Throws Error(format) naming the file:
// missing, truncated, corrupt, of a known kind that is no text, or more than 16 GiB.
std::string read_text(const std::string& path);

// Documents are separated by lines that are exactly "<|endoftext|>"; empty ones are dropped.
std::vector<std::string_view> split_documents(std::string_view text);

// A raw WikiText file's text as Hugging Face's data set joins its rows (methods 0.4): blank lines
// are empty rows, others keep their spaces and line end, and rows are joined by two line ends.
std::string join_wikitext(std::string_view raw);

}  // namespace halftone
