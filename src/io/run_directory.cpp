// The files of a run: which are kept, and what its log holds.
#include "halftone/io/run_directory.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/text_file.h"

namespace halftone {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMostLogBytes = uint64_t{1} << 32;

// A whole line of the log, of a step up to `step`.
bool is_logged(const std::string& line, int64_t step) {
  const auto entry = nlohmann::json::parse(line, nullptr, false);
  if (!entry.is_object() || !entry.contains("step")) return false;
  return entry["step"].is_number_integer() && entry["step"].get<int64_t>() <= step;
}

}  // namespace

void RunDirectory::require_unused() const {
  const auto refuse = [&](const std::string& what) {
    throw_error(ErrorKind::recipe, "{}: {}, or choose another --run-dir", path_, what);
  };
  if (!exists_at(path_)) return;
  if (!checkpoint_files(path_).empty())
    refuse(
        fmt::format("holds checkpoints of an earlier run; go on with `halftone resume {}`", path_));
  if (exists_at(result_file())) refuse("holds a finished run; remove it first");
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename();
    // A run that was killed while it wrote its recipe leaves the two, and nothing to go on with.
    const bool begun = name.starts_with(".lock") || name.starts_with("recipe.toml.tmp.");
    if (!exists_at(recipe_file()) && !begun)
      refuse(fmt::format("holds '{}' and no run; a new or empty directory is expected", name));
  }
}

void RunDirectory::create() const {
  make_directories(path_);
}

std::optional<CheckpointContent> RunDirectory::newest_content(
    std::vector<std::string>& damaged) const {
  auto found = newest_checkpoint(path_, damaged);
  if (!found) return std::nullopt;
  return std::move(found->content);
}

void RunDirectory::remove_old_checkpoints(int64_t step, int64_t keep) const {
  std::vector<std::string> files = checkpoint_files(path_);
  const fs::path newest = fs::path(checkpoint_file(step)).filename();
  std::erase_if(files, [&](const fs::path& file) { return file.filename() > newest; });
  for (size_t i = 0; i + static_cast<size_t>(std::max<int64_t>(keep, 1)) < files.size(); ++i)
    if (std::remove(files[i].c_str()) != 0) throw_io(files[i], "remove", errno);
}

void RunDirectory::rewind(int64_t step, int64_t keep) const {
  remove_old_checkpoints(step, keep);
  const std::string log =
      exists_at(log_file()) ? read_text_file(log_file(), kMostLogBytes) : std::string();
  std::istringstream in(log);
  std::string kept;
  for (std::string line; std::getline(in, line);)
    if (is_logged(line, step)) kept += line + "\n";
  if (kept != log) write_text_durably(log_file(), kept);
}

void RunDirectory::append_log(const std::string& json_line) const {
  append_text(log_file(), json_line + "\n");
}

void RunDirectory::flush_log() const {
  if (exists_at(log_file())) sync_file(log_file());
}

}  // namespace halftone
