// Rows of a table, read and added to.
#include "halftone/ops/embedding.h"

#include <algorithm>

#include "halftone/base/threads.h"
#include "tensor/dispatch.h"

namespace halftone {

// ids (N, I32). dW += what the rows' gradients give.
HT_KERNEL(embedding_forward, const Tensor& ids, const Tensor& weight, Tensor& y)
HT_KERNEL(embedding_backward, const Tensor& ids, const Tensor& dy, Tensor& dw)
HT_KERNEL(add_positions_forward, const Tensor& x, const Tensor& weight, int64_t length,
          int64_t first_row, Tensor& y)
HT_KERNEL(add_positions_backward, const Tensor& dy, int64_t length, int64_t first_row, Tensor& dw)

namespace {

// table[row(i)] += dy_i, in the order of i, shared out by columns.
template <class T, class Row>
void add_to_rows(const Tensor& dy, const Row& row, Tensor& table) {
  const int64_t n = dy.dim(0), c = dy.dim(1);
  const T* in = dy.data<T>();
  T* out = table.data<T>();
  parallel_for(c, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = begin; j < end; ++j) out[row(i) * c + j] += in[i * c + j];
  });
}

}  // namespace

namespace cpu {

void embedding_forward(const Tensor& ids, const Tensor& weight, Tensor& y) {
  const int64_t n = y.dim(0), c = y.dim(1);
  const int32_t* id = ids.data<int32_t>();
  if (weight.dtype() == DType::f16) {
    for (int64_t i = 0; i < n; ++i)
      half_to_float(weight.data<half_t>() + id[i] * c, y.data<float>() + i * c, c);
    return;
  }
  if (weight.dtype() == DType::q8_0) {
    const int64_t blocks = c / q8_0_t::kNumbers;
    for (int64_t i = 0; i < n; ++i)
      widen_q8_0(weight.data<q8_0_t>() + id[i] * blocks, y.data<float>() + i * c, c);
    return;
  }
  with_real(y.dtype(), "embedding", [&]<class T>() {
    for (int64_t i = 0; i < n; ++i)
      std::copy_n(weight.data<T>() + id[i] * c, c, y.data<T>() + i * c);
  });
}

void embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dw) {
  with_real(dy.dtype(), "embedding", [&]<class T>() {
    const int32_t* id = ids.data<int32_t>();
    add_to_rows<T>(
        dy, [=](int64_t i) { return id[i]; }, dw);
  });
}

void add_positions_forward(const Tensor& x, const Tensor& weight, int64_t length, int64_t first_row,
                           Tensor& y) {
  const int64_t c = x.dim(1);
  const Tensor rows = weight.rows(first_row, first_row + length).to(x.dtype());
  with_real(x.dtype(), "add_positions", [&]<class T>() {
    const T *in = x.data<T>(), *table = rows.data<T>();
    T* out = y.data<T>();
    parallel_for(x.dim(0), 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < c; ++j) out[i * c + j] = in[i * c + j] + table[i % length * c + j];
    });
  });
}

void add_positions_backward(const Tensor& dy, int64_t length, int64_t first_row, Tensor& dw) {
  with_real(dy.dtype(), "add_positions", [&]<class T>() {
    add_to_rows<T>(
        dy, [=](int64_t i) { return first_row + i % length; }, dw);
  });
}

}  // namespace cpu

Var embedding(const std::vector<int32_t>& ids, const Var& weight) {
  const int64_t n = static_cast<int64_t>(ids.size()), v = weight.dim(0);
  for (int32_t id : ids) require(id >= 0 && id < v, "embedding: token {}, vocabulary {}", id, v);
  const bool widened = weight.dtype() == DType::f16 || weight.dtype() == DType::q8_0;
  require(!widened || !weight.needs_grad(), "embedding: a table in {} cannot have a gradient",
          dtype_name(weight.dtype()));
  const Device device = weight.value().device();
  const Tensor rows = Tensor::of({n}, ids).to(device);
  Tensor y =
      Tensor::uninitialized({n, weight.dim(1)}, widened ? DType::f32 : weight.dtype(), device);
  HT_RUN(embedding_forward, device, rows, weight.value(), y);
  return weight.tape().record("embedding", {weight}, y,
                              [rows, weight = weight.without_value()](const Tensor& dy) {
                                Var::Target dw = weight.grad_target();
                                if (dw.beta == 0) dw.tensor.fill(0);
                                HT_RUN(embedding_backward, dy.device(), rows, dy, dw.tensor);
                              });
}

Var add_positions(const Var& x, const Var& weight, int64_t length, int64_t first_row) {
  require(x.value().rank() == 2 && weight.value().rank() == 2 && x.dim(1) == weight.dim(1) &&
              length > 0 && x.dim(0) % length == 0,
          "add_positions: x {}, weight {}, {} rows a sequence", shape_text(x.shape()),
          shape_text(weight.shape()), length);
  require(first_row >= 0 && first_row + length <= weight.dim(0),
          "add_positions: row {}, the table has {}", first_row + length - 1, weight.dim(0));
  require(weight.dtype() == x.dtype() || weight.dtype() == sum_dtype(x.dtype()) ||
              (weight.dtype() == DType::f16 && !weight.needs_grad()),
          "add_positions: x {}, weight {}", dtype_name(x.dtype()), dtype_name(weight.dtype()));
  Tensor y = x.value().like();
  HT_RUN(add_positions_forward, y.device(), x.value(), weight.value(), length, first_row, y);
  return x.tape().record("add_positions", {x, weight}, y,
                         [x = x.without_value(), weight = weight.without_value(), length,
                          first_row](const Tensor& dy) {
                           if (x.needs_grad()) x.add_grad(dy);
                           if (!weight.needs_grad()) return;
                           Var::Target dw = weight.grad_target();
                           if (dw.beta == 0) dw.tensor.fill(0);
                           HT_RUN(add_positions_backward, dy.device(), dy, length, first_row,
                                  dw.tensor);
                         });
}

}  // namespace halftone
