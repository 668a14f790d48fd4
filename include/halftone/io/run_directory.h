// The files of one run: runs/<name>/recipe.toml, log.jsonl, step-*.h5, model.h5, result.json;
// beside them lie its lock and what the model is besides its weights (model/companions.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
  std::string trace_file() const { return path_ + "/trace.json"; }
  std::string held_out_file() const { return path_ + "/held-out.tok"; }
  std::string checkpoint_file(int64_t step) const { return halftone::checkpoint_file(path_, step); }

  // A new run begins in a directory of its own: throws Error(recipe) where this one holds a run, or
  // what is not of one.
  void require_unused() const;
  void create() const;  // throws Error(io)
  // Of the newest whole checkpoint, if any; what is wrong with the damaged ones that it passed over
  // is added to `damaged`, they are left alone.
  std::optional<CheckpointContent> newest_content(std::vector<std::string>& damaged) const;
  // Removes all but the newest `keep` of the checkpoints up to `step`. Those behind it are damaged
  // and were passed over: they are no reason to remove a whole one, and stay until they are written
  // anew. Throws Error(io).
  void remove_old_checkpoints(int64_t step, int64_t keep) const;

  // For a run that begins behind `step` (-1: anew): drops what is logged of later steps, which it
  // will log again, and the checkpoints that a killed run had no time to remove. Throws Error(io).
  void rewind(int64_t step, int64_t keep) const;
  void append_log(const std::string& json_line) const;
  void flush_log() const;  // what a checkpoint has behind it is on the disk before it

 private:
  std::string path_;
};

}  // namespace halftone
