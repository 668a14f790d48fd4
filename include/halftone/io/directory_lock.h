// One writer a directory.
#pragma once

#include <string>

namespace halftone {

// Holds an exclusive lock on `<directory>/.lock` as long as it lives; the kernel releases it when
// the process ends in any way. Throws Error(recipe) naming the directory and the process that holds
// it, Error(io) when the lock file cannot be made.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace halftone
