// The HDF5 library as the writer and the reader use it.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

#include "halftone/tensor/tensor.h"

namespace halftone::hdf5 {

// An identifier closed on every way out.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const { return id_; }
  bool good() const { return id_ >= 0; }
  bool close() { return close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

inline constexpr int kMostRank = 8;
inline constexpr DType kDTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16,
                                    DType::i32, DType::i64, DType::u8};

// Turns off the library's own printing and its work at exit. To be called before anything else.
void quiet();

Handle file_type(DType dtype);       // little-endian, as stored
Handle file_access();                // sec2, closes everything with the file, no locks
std::string last_error();            // what the library says of the failure, in short

}  // namespace halftone::hdf5
