// Where the library's reads and writes go. It does not survive a write that fails: what it could
// not flush stays open inside it, spoils the next file and crashes at exit. It is therefore never
// told. The storage keeps the first failure, drops what follows, and its owner asks it after every
// call. Reads that fail are told, and kept: a disk's failure is not a malformed file.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include "hdf5_handles.h"

namespace halftone {
class Descriptor;
class RegularFile;
}  // namespace halftone

namespace halftone::hdf5 {

class Storage {
 public:
  static Storage create(const std::string& path);  // makes the file or empties it; Error(io)
  static Storage open(const std::string& path);    // to read; throws as RegularFile does
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  // File access properties that lead to here; the storage must outlive the file.
  Handle access();
  // Throws the first failure so far: an Error naming the path and the system's cause.
  void check() const;
  void close();  // of a created one; throws Error(io)

  // Called by the library.
  void write(uint64_t offset, const void* data, size_t bytes) noexcept;
  bool read(uint64_t offset, void* data, size_t bytes) noexcept;
  void set_size(uint64_t bytes) noexcept;
  uint64_t size() const noexcept { return size_; }

 private:
  Storage(std::unique_ptr<Descriptor> out, std::unique_ptr<const RegularFile> in);
  // Keeps what `action` throws; false then, or where an earlier one failed.
  template <class Action>
  bool keep_failure(const Action& action) noexcept;

  std::unique_ptr<Descriptor> out_;
  std::unique_ptr<const RegularFile> in_;
  uint64_t size_ = 0;
  std::exception_ptr failure_;
};

}  // namespace halftone::hdf5
