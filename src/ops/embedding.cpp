#include "halftone/ops/embedding.h"

#include <algorithm>

#include "halftone/base/threads.h"

namespace halftone {

Var embedding(const std::vector<int32_t>& ids, const Var& weight) {
  const int64_t n = static_cast<int64_t>(ids.size()), v = weight.dim(0), c = weight.dim(1);
  for (int32_t id : ids) require(id >= 0 && id < v, "embedding: token {}, vocabulary {}", id, v);
  const bool half = weight.dtype() == DType::f16;
  require(!half || !weight.needs_grad(), "embedding: a table in F16 cannot have a gradient");
  Tensor y = Tensor::uninitialized({n, c}, half ? DType::f32 : weight.dtype());
  if (half) {
    for (int64_t i = 0; i < n; ++i)
      half_to_float(weight.value().data<half_t>() + ids[i] * c, y.data<float>() + i * c, c);
  } else {
    with_real(y.dtype(), "embedding", [&]<class T>() {
      for (int64_t i = 0; i < n; ++i)
        std::copy_n(weight.value().data<T>() + ids[i] * c, c, y.data<T>() + i * c);
    });
  }
  return weight.tape().record("embedding", {weight}, y,
                              [ids, weight = weight.without_value()](const Tensor& dy) {
                                Var::Target dw = weight.grad_target();
                                if (dw.beta == 0) dw.tensor.fill(0);
                                with_real(dy.dtype(), "embedding", [&]<class T>() {
                                  const int64_t c = dy.dim(1);
                                  const T* in = dy.data<T>();
                                  T* table = dw.tensor.data<T>();
                                  parallel_for(c, 64, [&](int64_t begin, int64_t end) {
                                    for (size_t i = 0; i < ids.size(); ++i)
                                      for (int64_t j = begin; j < end; ++j)
                                        table[ids[i] * c + j] += in[i * c + j];
                                  });
                                });
                              });
}

}  // namespace halftone
