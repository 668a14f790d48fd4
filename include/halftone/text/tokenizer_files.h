#pragma once
#include <map>
#include <string>
namespace halftone {
std::map<std::string, std::string> tokenizer_files(const std::string& path);
}
