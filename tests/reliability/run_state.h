// What a run leaves on disk, for comparing one run with another.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "app/program_testing.h"

namespace halftone::testing {

// Bytes by path below a directory. Of a lock file the name alone counts.
using Files = std::map<std::string, std::string>;

inline Files files_below(const std::string& directory) {
  namespace fs = std::filesystem;
  Files out;
  if (!fs::exists(directory)) return out;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const std::string name = fs::relative(entry.path(), directory);
    if (entry.is_regular_file())
      out[name] = entry.path().filename() == ".lock" ? "" : read_whole(entry.path());
  }
  return out;
}

inline void restore_files(const std::string& directory, const Files& files) {
  namespace fs = std::filesystem;
  fs::remove_all(directory);
  fs::create_directories(directory);
  for (const auto& [name, bytes] : files) {
    const fs::path path = fs::path(directory) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }
}

inline bool is_temporary(const std::string& name) {
  const size_t at = name.rfind(".tmp.");
  return at != name.npos && name.find_first_not_of("0123456789", at + 5) == name.npos;
}

inline bool is_named(const std::string& path, const std::string& name) {
  return path == name || path.ends_with("/" + name);
}

// The whole lines of a log; a last one that was torn is left out.
inline std::vector<std::string> log_lines(const std::string& log) {
  std::vector<std::string> out;
  for (size_t begin = 0, end; (end = log.find('\n', begin)) != log.npos; begin = end + 1)
    out.push_back(log.substr(begin, end - begin));
  return out;
}

// A JSON object without what differs between two runs of one recipe: times and memory.
inline std::string lasting(const std::string& json) {
  auto object = nlohmann::json::parse(json);
  for (const char* key : {"seconds", "tokens_per_second", "rss_bytes", "peak_rss_bytes"})
    object.erase(key);
  return object.dump();
}

// A file's content without what differs between two runs.
inline std::string lasting_content(const std::string& name, const std::string& bytes) {
  if (is_named(name, "result.json")) return lasting(bytes);
  if (!is_named(name, "log.jsonl")) return bytes;
  std::string out;
  for (const std::string& line : log_lines(bytes)) out += lasting(line) + "\n";
  return out;
}

}  // namespace halftone::testing
