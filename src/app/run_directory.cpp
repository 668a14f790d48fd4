#include "halftone/app/run_directory.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "halftone/app/console.h"
#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"

namespace halftone {

namespace fs = std::filesystem;

void RunDirectory::create() const {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error || !fs::is_directory(path_))
    throw_error(ErrorKind::io, "{}: the run directory cannot be made: {}", path_, error.message());
}

std::optional<CheckpointContent> RunDirectory::newest_content() const {
  std::vector<std::string> damaged;
  auto found = newest_checkpoint(path_, damaged);
  for (const std::string& what : damaged) say("skipped a damaged checkpoint: {}\n", what);
  if (!found) return std::nullopt;
  return std::move(found->content);
}

void RunDirectory::remove_old_checkpoints(int64_t keep) const {
  const std::vector<std::string> files = checkpoint_files(path_);
  for (size_t i = 0; i + static_cast<size_t>(std::max<int64_t>(keep, 1)) < files.size(); ++i)
    std::remove(files[i].c_str());
}

void RunDirectory::rewind_log(int64_t step) const {
  std::ifstream in(log_file());
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const auto entry = nlohmann::json::parse(line, nullptr, false);
    if (entry.is_object() && entry.value("step", int64_t{0}) <= step) kept += line + "\n";
  }
  write_text_durably(log_file(), kept);
}

void RunDirectory::append_log(const std::string& json_line) const {
  std::FILE* file = std::fopen(log_file().c_str(), "a");
  const bool written = file && std::fputs((json_line + "\n").c_str(), file) >= 0;
  const bool closed = file && std::fclose(file) == 0;
  if (!written || !closed)
    throw_error(ErrorKind::io, "{}: cannot be written: {}", log_file(), std::strerror(errno));
}

}  // namespace halftone
