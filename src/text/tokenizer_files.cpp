#include "halftone/text/tokenizer_files.h"
#include <filesystem>
#include "halftone/io/text_file.h"
namespace halftone {
std::map<std::string, std::string> tokenizer_files(const std::string& path) {
  std::map<std::string, std::string> out;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja", "added_tokens.json"})
    if (std::filesystem::exists(path + "/" + name)) out[name] = read_text_file(path + "/" + name, 1 << 30);
  return out;
}
}
