// System calls on files. Signals may interrupt one, and a disk take or give less than it was asked
// for: both end here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "halftone/base/uninterrupted.h"

namespace halftone {

// Reads from `offset` to the end of the file or of `out`; -1, with errno set, where that fails.
ssize_t read_at(int fd, uint64_t offset, void* out, size_t bytes);

class Descriptor {
 public:
  // open(2) with O_CLOEXEC. Failures are Error(io) "<reported>: cannot <action>: <cause>", here
  // and below; `reported` is what the file is called to the user.
  Descriptor(const std::string& file, int flags, std::string reported,
             std::string_view action = "open");
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  void write(const void* data, size_t bytes);  // where the file is, all of it
  void write_at(uint64_t offset, const void* data, size_t bytes);
  // Fills `out` from `offset` on; returns how many bytes there were.
  size_t read_at(uint64_t offset, void* out, size_t bytes) const;
  void resize(uint64_t bytes);
  // A failed fsync is final: the kernel may have dropped the dirty pages, a second one would lie.
  void sync();
  void close();  // reports what the destructor cannot

 private:
  [[noreturn]] void fail(std::string_view action) const;

  std::string reported_;
  int fd_;
};

}  // namespace halftone
