// The files of one run: runs/<name>/recipe.toml, log.jsonl, step-*.h5, model.h5, result.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "halftone/io/checkpoint_file.h"

namespace halftone {

class RunDirectory {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string recipe_file() const { return path_ + "/recipe.toml"; }
  std::string model_file() const { return path_ + "/model.h5"; }
  std::string log_file() const { return path_ + "/log.jsonl"; }
  std::string result_file() const { return path_ + "/result.json"; }
  std::string checkpoint_file(int64_t step) const { return halftone::checkpoint_file(path_, step); }

  void create() const;  // throws Error(io)
  // Of the newest whole checkpoint, if any; damaged ones are named on stderr and left alone.
  std::optional<CheckpointContent> newest_content() const;
  // Removes all but the newest `keep` checkpoints.
  void remove_old_checkpoints(int64_t keep) const;

  // Drops logged steps after `step`, which a resumed run will log again.
  void rewind_log(int64_t step) const;
  void append_log(const std::string& json_line) const;

 private:
  std::string path_;
};

}  // namespace halftone
