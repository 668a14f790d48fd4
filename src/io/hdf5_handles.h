// The library as the writer uses it: handles that close themselves, types, causes of failures.
#pragma once

#include <hdf5.h>

#include <bit>
#include <string>
#include <utility>

#include "halftone/tensor/tensor.h"

namespace halftone::hdf5 {

static_assert(std::endian::native == std::endian::little);

inline constexpr size_t kMostNameBytes = 1024;

// An identifier of the library, given back when it goes out of scope.
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) H5Idec_ref(id_);
  }
  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  bool close() { return H5Idec_ref(std::exchange(id_, H5I_INVALID_HID)) >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
};

// No messages on stderr from this thread, no code loaded from plugin folders.
void quiet();

// The innermost cause of the last failure: the system's words where it was the system's.
std::string cause();

// How files are opened: no lock files' locks (they fail on some network drives; DirectoryLock is
// what keeps two runs apart), everything closed with the file.
Handle access_properties();

Handle number_type(DType dtype);
Handle text_type(size_t bytes_with_zero);

}  // namespace halftone::hdf5
