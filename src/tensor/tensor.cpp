#include "halftone/tensor/tensor.h"

#include <cstring>
#include <new>

#include "halftone/base/threads.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/memory.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(fill, Tensor& to, double value)
HT_KERNEL(convert, const Tensor& from, Tensor& to)

size_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
    case DType::q8_0:
      return sizeof(q8_0_t);
  }
  return 0;
}

size_t storage_bytes(DType dtype, int64_t n) {
  if (dtype != DType::q8_0) return static_cast<size_t>(n) * dtype_bytes(dtype);
  require(n % q8_0_t::kNumbers == 0, "Tensor: {} numbers in Q8_0, whose blocks are of {}", n,
          q8_0_t::kNumbers);
  return static_cast<size_t>(n / q8_0_t::kNumbers) * sizeof(q8_0_t);
}

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "F32";
    case DType::f64:
      return "F64";
    case DType::f16:
      return "F16";
    case DType::bf16:
      return "BF16";
    case DType::i32:
      return "I32";
    case DType::i64:
      return "I64";
    case DType::u8:
      return "U8";
    case DType::q8_0:
      return "Q8_0";
  }
  return "?";
}

DType sum_dtype(DType dtype) {
  return dtype == DType::bf16 ? DType::f32 : dtype;
}

void throw_not_real(DType dtype, const char* what) {
  throw std::invalid_argument(
      fmt::format("{}: dtype is {}, expected F32 or F64", what, dtype_name(dtype)));
}

const char* device_name(Device device) {
  return device == Device::cpu ? "cpu" : "cuda";
}

void throw_no_kernel(const char* kernel, Device device) {
  throw std::invalid_argument(
      fmt::format("{}: it runs on cpu alone here, not on {}", kernel, device_name(device)));
}

Tensor Tensor::uninitialized(Shape shape, DType dtype, Device device) {
  const size_t bytes = storage_bytes(dtype, halftone::numel(shape));
  const std::shared_ptr<void> block =
      device == Device::cpu ? allocate(bytes) : cuda::allocate(bytes);
  return of({.owner = block, .pointer = block.get(), .bytes = bytes, .device = device},
            std::move(shape), dtype);
}

Tensor Tensor::of(Storage storage, Shape shape, DType dtype) {
  Tensor out;
  out.numel_ = halftone::numel(shape);
  out.shape_ = std::move(shape);
  out.dtype_ = dtype;
  require(out.bytes() <= storage.bytes, "Tensor: {} of {} in {} bytes", dtype_name(dtype),
          shape_text(out.shape_), storage.bytes);
  out.data_ = storage.pointer;
  out.storage_ = std::move(storage);
  return out;
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor out = uninitialized(std::move(shape), dtype, device);
  out.fill(0);
  return out;
}

Tensor Tensor::full(Shape shape, DType dtype, double value, Device device) {
  Tensor out = uninitialized(std::move(shape), dtype, device);
  out.fill(value);
  return out;
}

Tensor Tensor::view(std::shared_ptr<const void> owner, const void* data, Shape shape, DType dtype) {
  const size_t bytes = storage_bytes(dtype, halftone::numel(shape));
  return of({.owner = std::move(owner),
             .pointer = const_cast<void*>(data),
             .bytes = bytes,
             .writable = false},
            std::move(shape), dtype);
}

int64_t Tensor::dim(int64_t i) const {
  const int64_t at = i < 0 ? i + rank() : i;
  require(at >= 0 && at < rank(), "Tensor::dim: {} of shape {}", i, shape_text(shape_));
  return shape_[at];
}

void Tensor::expect(DType dtype) const {
  require(dtype == dtype_, "Tensor: dtype is {}, asked for as {}", dtype_name(dtype_),
          dtype_name(dtype));
  require(data_ || numel_ == 0, "Tensor {}: its numbers are elsewhere", shape_text(shape_));
  require(device() == Device::cpu, "Tensor: lies on {}, asked for on cpu", device_name(device()));
}

void Tensor::expect_writable() const {
  require(writable(), "Tensor {}: written to, but its numbers are read only", shape_text(shape_));
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor out = like();
  out.copy_from(*this);
  return out;
}

void Tensor::copy_from(const Tensor& from) {
  require(from.shape_ == shape_ && from.dtype_ == dtype_, "Tensor::copy_from: {} {} into {} {}",
          dtype_name(from.dtype_), shape_text(from.shape_), dtype_name(dtype_), shape_text(shape_));
  expect_writable();
  if (device() != Device::cpu || from.device() != Device::cpu)
    cuda::copy(data_, from.data_, bytes());
  else if (bytes())
    std::memcpy(data_, from.data_, bytes());
}

Tensor Tensor::reshape(Shape shape) const {
  Tensor out = *this;
  require(halftone::numel(shape) == numel_, "Tensor::reshape: {} into {}", shape_text(shape_),
          shape_text(shape));
  out.shape_ = std::move(shape);
  return out;
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  require(rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0],
          "Tensor::rows: {}..{} of {}", begin, end, shape_text(shape_));
  Tensor out = *this;
  const int64_t stride = shape_[0] ? numel_ / shape_[0] : 0;
  out.shape_[0] = end - begin;
  out.numel_ = (end - begin) * stride;
  out.data_ = static_cast<char*>(data_) + storage_bytes(dtype_, begin * stride);
  return out;
}

Tensor Tensor::with_next_rows(const Tensor& next) const {
  if (!defined() || rank() == 0 || next.rank() != rank() || next.dtype_ != dtype_ ||
      next.storage_.owner != storage_.owner ||
      next.data_ != static_cast<const char*>(data_) + bytes() ||
      !std::equal(shape_.begin() + 1, shape_.end(), next.shape_.begin() + 1))
    return {};
  Tensor out = *this;
  out.shape_[0] += next.shape_[0];
  out.numel_ += next.numel_;
  return out;
}

namespace cpu {

void convert(const Tensor& from, Tensor& to) {
  const int64_t n = from.numel();
  if (from.dtype() == DType::f16 && to.dtype() == DType::f32)
    half_to_float(from.data<half_t>(), to.data<float>(), n);
  else if (from.dtype() == DType::bf16 && to.dtype() == DType::f32)
    bf16_to_float(from.data<bf16_t>(), to.data<float>(), n);
  else if (from.dtype() == DType::f32 && to.dtype() == DType::f16)
    float_to_half(from.data<float>(), to.data<half_t>(), n);
  else if (from.dtype() == DType::f32 && to.dtype() == DType::bf16)
    float_to_bf16(from.data<float>(), to.data<bf16_t>(), n);
  else if (from.dtype() == DType::q8_0 && to.dtype() == DType::f32)
    q8_0_to_float(from.data<q8_0_t>(), to.data<float>(), n);
  else if (from.dtype() == DType::f32 && to.dtype() == DType::q8_0)
    float_to_q8_0(from.data<float>(), to.data<q8_0_t>(), n);
  else if (from.dtype() == DType::f32 && to.dtype() == DType::f64)
    std::copy_n(from.data<float>(), n, to.data<double>());
  else if (from.dtype() == DType::f64 && to.dtype() == DType::f32)
    std::copy_n(from.data<double>(), n, to.data<float>());
  else
    throw std::invalid_argument(
        fmt::format("Tensor::to: {} to {}", dtype_name(from.dtype()), dtype_name(to.dtype())));
}

void fill(Tensor& to, double value) {
  const auto each = [&]<class T>(T x) { std::fill_n(to.data<T>(), to.numel(), x); };
  switch (to.dtype()) {
    case DType::f32:
      return each(static_cast<float>(value));
    case DType::f64:
      return each(value);
    case DType::f16:
      return each(to_half(static_cast<float>(value)));
    case DType::bf16:
      return each(to_bf16(static_cast<float>(value)));
    case DType::i32:
      return each(static_cast<int32_t>(value));
    case DType::i64:
      return each(static_cast<int64_t>(value));
    case DType::u8:
      return each(static_cast<uint8_t>(value));
    case DType::q8_0:
      break;
  }
  throw std::invalid_argument(fmt::format("Tensor::fill: dtype is {}", dtype_name(to.dtype())));
}

}  // namespace cpu

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  if (dtype_ != DType::f32 && dtype != DType::f32) return to(DType::f32).to(dtype);
  Tensor out = uninitialized(shape_, dtype, device());
  HT_RUN(convert, device(), *this, out);
  return out;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device() || !defined()) return *this;
  Tensor out = uninitialized(shape_, dtype_, device);
  out.copy_from(*this);
  return out;
}

void Tensor::fill(double value) {
  HT_RUN(fill, device(), *this, value);
}

double Tensor::item() const {
  require(numel_ == 1, "Tensor::item: shape {}", shape_text(shape_));
  if (device() != Device::cpu) return to(Device::cpu).item();
  return with_real(dtype_, "Tensor::item",
                   [&]<class T>() { return static_cast<double>(*data<T>()); });
}

}  // namespace halftone
