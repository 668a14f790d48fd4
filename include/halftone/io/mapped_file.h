// Files read through the page cache. What is wrong with a file is Error(format), a disk or a system
// that cannot give it is Error(io), both naming the file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "halftone/tensor/tensor.h"

struct stat;

namespace halftone {

// A descriptor of a regular file opened for reading. Directories, FIFOs (without waiting on them),
// devices, missing and unreadable files are refused, and Git LFS pointers, which stand where the
// file should be.
class RegularFile {
 public:
  explicit RegularFile(const std::string& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  uint64_t size() const { return state_.size; }  // bytes, when it was opened
  // Fills `out` from `offset` on; returns how many bytes there were.
  size_t read(uint64_t offset, void* out, size_t bytes) const;
  std::string start(size_t bytes) const;  // the first bytes, fewer where there are not so many
  // Throws when the file on disk is no longer the one that was opened (size or time of change).
  void expect_unchanged() const;
  // Does `path` name the file that was opened, unchanged?
  bool is_at(const std::string& path) const;

 private:
  struct State {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t modified_seconds = 0, modified_nanoseconds = 0;
    bool operator==(const State&) const = default;
  };
  static State state_of(const struct stat& status);
  void examine();

  std::string path_;
  int descriptor_ = -1;
  State state_;
};

// A regular file mapped read-only, private to this process. The files that Halftone writes are
// replaced whole (atomic_file.h), so that a map of the older one stays valid.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return file_.path(); }
  const uint8_t* data() const { return data_; }
  size_t size() const { return static_cast<size_t>(file_.size()); }
  std::span<const uint8_t> bytes() const { return {data_, size()}; }
  void expect_unchanged() const { file_.expect_unchanged(); }
  bool is_at(const std::string& path) const { return file_.is_at(path); }

 private:
  explicit MappedFile(const std::string& path);

  RegularFile file_;
  const uint8_t* data_ = nullptr;
};

// The numbers at `offset` of the file: a view that keeps the map alive, or a copy where the offset
// is not aligned for the dtype. The caller has checked that they lie inside the file.
Tensor mapped_tensor(const std::shared_ptr<const MappedFile>& file, uint64_t offset, Shape shape,
                     DType dtype);

}  // namespace halftone
