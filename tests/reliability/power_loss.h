// What is left of a directory when the power goes: what was flushed, and no more. Contents as they
// were at the last fsync of each file, names as they were at the last fsync of each directory.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace halftone_fault {

class FlushedState {
 public:
  // All that is below `root` now is taken as flushed.
  explicit FlushedState(std::string root);

  void flush(const std::string& path);  // fsync of a file or a directory
  void begin(int fd);                   // an empty file, whose number may have been another's

  // Makes the directory what is left. Where a journal flushes names before data, those of the
  // moment stay.
  void restore(bool names_stay);

 private:
  struct Name {
    uint64_t inode;
    bool is_directory;
  };

  void restore_directory(const std::string& path, uint64_t inode);

  std::string root_;
  std::map<uint64_t, std::string> contents_;
  std::map<uint64_t, std::map<std::string, Name>> names_;
};

}  // namespace halftone_fault
