#include "halftone/tensor/numbers.h"

#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr int64_t kBlock = 1 << 16;

// Over the indices 0 .. n - 1.
template <class Test>
int64_t count_where(int64_t n, const Test& test) {
  return static_cast<int64_t>(parallel_sum(n, kBlock, [&](int64_t begin, int64_t end) {
    int64_t count = 0;
    for (int64_t i = begin; i < end; ++i) count += test(i);
    return static_cast<double>(count);
  }));
}

}  // namespace

int64_t count_non_finite(const Tensor& tensor) {
  const auto all_ones = [&]<class T>(T exponent) {
    const T* data = static_cast<const T*>(tensor.raw());
    return count_where(tensor.numel(), [&](int64_t i) { return (data[i] & exponent) == exponent; });
  };
  require(tensor.dtype() == DType::f16 || tensor.dtype() == DType::f32,
          "count_non_finite: dtype is {}, expected F32 or F16", dtype_name(tensor.dtype()));
  return tensor.dtype() == DType::f16 ? all_ones(uint16_t{0x7c00}) : all_ones(uint32_t{0x7f800000});
}

int64_t count_changed(const Tensor& a, const Tensor& b) {
  require(a.shape() == b.shape(), "count_changed: shapes {} and {}", shape_text(a.shape()),
          shape_text(b.shape()));
  if (a.dtype() == b.dtype() && a.raw() == b.raw()) return 0;
  const Tensor x = a.to(DType::f32), y = b.to(DType::f32);
  const auto* p = static_cast<const uint32_t*>(x.raw());
  const auto* q = static_cast<const uint32_t*>(y.raw());
  return count_where(x.numel(), [&](int64_t i) { return p[i] != q[i]; });
}

std::vector<double> values_of(const Tensor& tensor) {
  const Tensor wide = tensor.to(DType::f64);
  const double* data = wide.data<double>();
  return {data, data + wide.numel()};
}

std::vector<int32_t> ids_of(const Tensor& tensor) {
  const int32_t* data = tensor.data<int32_t>();
  return {data, data + tensor.numel()};
}

Tensor to_f16_where_it_fits(const Tensor& tensor) {
  const Tensor half = tensor.to(DType::f16);
  if (count_non_finite(half) == 0) return half;
  const Tensor whole = tensor.to(DType::f32);
  return count_non_finite(half) == count_non_finite(whole) ? half : whole;
}

}  // namespace halftone
