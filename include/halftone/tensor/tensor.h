// Tensor: contiguous, row-major numbers of one dtype on one device. Copies share the storage, as
// handles do; clone() copies the numbers. No gradients here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/half.h"
#include "halftone/base/q8_0.h"
#include "halftone/tensor/shape.h"

namespace halftone {

// q8_0 is a storage for matrices that products and look-ups read: blocks of 32 numbers of a row
// (base/q8_0.h).
enum class DType : uint8_t { f32, f64, f16, bf16, i32, i64, u8, q8_0 };

size_t dtype_bytes(DType dtype);  // of a number; of q8_0 of a block
// Of n numbers; throws std::invalid_argument where they are no whole blocks.
size_t storage_bytes(DType dtype, int64_t n);
const char* dtype_name(DType dtype);
// What sums over numbers of a dtype are kept in, and a row's statistics: F32 of BF16, else itself.
DType sum_dtype(DType dtype);

template <class T>
struct dtype_of;
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of<half_t> {
  static constexpr DType value = DType::f16;
};
template <>
struct dtype_of<bf16_t> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_of<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct dtype_of<q8_0_t> {
  static constexpr DType value = DType::q8_0;
};

// Where numbers lie. Ops run where their tensors do (tensor/dispatch.h).
enum class Device : uint8_t { cpu, cuda };

const char* device_name(Device device);

// The memory behind a tensor. Copies are handles on the same bytes, which live as long as `owner`.
struct Storage {
  std::shared_ptr<const void> owner;
  void* pointer = nullptr;
  size_t bytes = 0;
  Device device = Device::cpu;
  bool writable = true;  // no: somebody else's numbers, as those of a mapped file
};

class Tensor {
 public:
  Tensor() = default;  // empty: no storage, numel() == 0

  static Tensor uninitialized(Shape shape, DType dtype, Device device = Device::cpu);
  static Tensor zeros(Shape shape, DType dtype, Device device = Device::cpu);
  static Tensor full(Shape shape, DType dtype, double value, Device device = Device::cpu);
  // The first numbers of a storage. Throws std::invalid_argument where it is too small.
  static Tensor of(Storage storage, Shape shape, DType dtype);
  // Numbers owned by somebody else (a mapped file); `owner` keeps them alive. They are read only.
  static Tensor view(std::shared_ptr<const void> owner, const void* data, Shape shape, DType dtype);
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values);
  static Tensor scalar(double value, DType dtype) { return full({}, dtype, value); }

  bool defined() const { return storage_.owner != nullptr; }
  // No other handle on the storage.
  bool unique() const { return storage_.owner.use_count() == 1; }
  // For a result that takes this tensor's place number by number, as a gradient does in backward:
  // the same storage if no other handle is on it, else a new one.
  Tensor reused() const { return unique() && writable() ? *this : like(); }
  Device device() const { return storage_.device; }
  bool writable() const { return storage_.writable; }
  const Shape& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  int64_t dim(int64_t i) const;  // negative counts from the end
  int64_t numel() const { return numel_; }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return storage_bytes(dtype_, numel_); }

  // The numbers; throws std::invalid_argument when T is not the dtype, when they lie on another
  // device, and when they are asked for writing and are read only.
  template <class T>
  T* data() {
    expect(dtype_of<T>::value);
    expect_writable();
    return static_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {
    expect(dtype_of<T>::value);
    return static_cast<const T*>(data_);
  }
  // The same without a type, on any device.
  void* raw() {
    expect_writable();
    return data_;
  }
  const void* raw() const { return data_; }

  Tensor clone() const;
  Tensor like() const { return uninitialized(shape_, dtype_, device()); }  // numbers not set
  // Takes the numbers of a tensor of the same shape and dtype, on any device; throws
  // std::invalid_argument.
  void copy_from(const Tensor& from);
  Tensor reshape(Shape shape) const;  // same storage
  Tensor flat() const { return reshape({numel()}); }
  Tensor rows(int64_t begin, int64_t end) const;  // rows of the first dimension, same storage
  // This and `next` as one, where the rows of `next` lie behind these in the same storage; an
  // undefined tensor elsewhere.
  Tensor with_next_rows(const Tensor& next) const;
  Tensor to(DType dtype) const;    // converts among f32, f64, f16, bf16; same dtype: *this
  Tensor to(Device device) const;  // copies; same device: *this
  void fill(double value);
  double item() const;  // the number of a one-element f32 or f64 tensor; waits for its device

 private:
  void expect(DType dtype) const;  // and on the CPU
  void expect_writable() const;

  Storage storage_;
  void* data_ = nullptr;
  Shape shape_;
  int64_t numel_ = 0;
  DType dtype_ = DType::f32;
};

template <class T>
Tensor Tensor::of(Shape shape, const std::vector<T>& values) {
  Tensor out = uninitialized(std::move(shape), dtype_of<T>::value);
  require(out.numel() == static_cast<int64_t>(values.size()), "Tensor::of: {} values for shape {}",
          values.size(), shape_text(out.shape()));
  std::copy(values.begin(), values.end(), out.data<T>());
  return out;
}

[[noreturn]] void throw_not_real(DType dtype, const char* what);

// Runs body.template operator()<T>() with T = float or double; throws std::invalid_argument, naming
// `what`, for any other dtype.
template <class Body>
decltype(auto) with_real(DType dtype, const char* what, const Body& body) {
  switch (dtype) {
    case DType::f32:
      return body.template operator()<float>();
    case DType::f64:
      return body.template operator()<double>();
    default:
      throw_not_real(dtype, what);
  }
}

}  // namespace halftone
