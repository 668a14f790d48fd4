// Where the library's writes go when Halftone writes a file. The library does not survive a write
// that fails: what it could not flush stays open inside it, spoils the next file and crashes at
// exit. It is therefore never told. The sink keeps the first failure, drops what follows, and the
// writer asks it after every call.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "descriptor.h"
#include "hdf5_handles.h"

namespace halftone::hdf5 {

class Sink {
 public:
  explicit Sink(const std::string& path);  // creates the file or empties it; throws Error(io)
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // File access properties that send a file's bytes here; the sink must outlive the file.
  Handle access();
  // Throws the first failure so far: Error(io) naming the path and the system's cause.
  void check() const;
  void close();  // throws Error(io)

  // Called by the library. False: the file cannot be read.
  void write(uint64_t offset, const void* data, size_t bytes) noexcept;
  bool read(uint64_t offset, void* data, size_t bytes) noexcept;
  void set_size(uint64_t bytes) noexcept;
  uint64_t size() const noexcept { return size_; }

 private:
  // Keeps what `action` throws; false then, and where an earlier one failed.
  template <class Action>
  bool keep_failure(const Action& action) noexcept;

  Descriptor file_;
  uint64_t size_ = 0;
  std::exception_ptr failure_;
};

}  // namespace halftone::hdf5
