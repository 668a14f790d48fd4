// One writer a run directory.
#pragma once

#include <memory>
#include <string>

namespace halftone {

class Descriptor;

// Holds <directory>/.lock (flock) until it is destroyed or the process ends, however it ends; the
// file stays and holds the pid. While another holds it: Error(recipe), for the command cannot be
// carried out, naming the directory and the other's pid. The lock cannot be made: Error(io).
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  std::unique_ptr<Descriptor> file_;
};

}  // namespace halftone
