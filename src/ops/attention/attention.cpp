#include "halftone/ops/attention.h"

#include "passes.h"

namespace halftone {

Var attention(const Var& q, const Var& k, const Var& v, const AttentionShape& s) {
  require(s.key_value_heads > 0 && s.heads % s.key_value_heads == 0,
          "attention: {} heads, {} key-value heads", s.heads, s.key_value_heads);
  require(s.key_length >= s.query_length, "attention: {} queries, {} keys", s.query_length,
          s.key_length);
  const Shape q_shape{s.batch * s.query_length, s.heads * s.head_dim};
  const Shape k_shape = s.key_capacity
                            ? Shape{s.batch * s.key_value_heads * s.key_capacity, s.head_dim}
                            : Shape{s.batch * s.key_length, s.key_value_heads * s.head_dim};
  require(s.head_dim <= kMostHeadDim, "attention: heads of {}, expected at most {}", s.head_dim,
          kMostHeadDim);
  require(!s.key_capacity || s.key_capacity >= s.key_length, "attention: {} keys in a cache of {}",
          s.key_length, s.key_capacity);
  require(!s.key_capacity || !(q.needs_grad() || k.needs_grad() || v.needs_grad()),
          "attention: a cache has no gradient");
  require(q.shape() == q_shape && k.shape() == k_shape && v.shape() == k_shape,
          "attention: q {}, k {}, v {}, expected {} and {}", shape_text(q.shape()),
          shape_text(k.shape()), shape_text(v.shape()), shape_text(q_shape), shape_text(k_shape));
  const auto fits = [&](const Var& x) {
    return x.dtype() == q.dtype() || (s.key_capacity && x.dtype() == DType::f16);
  };
  require(fits(k) && fits(v) && k.dtype() == v.dtype(), "attention: q in {}, k in {}, v in {}",
          dtype_name(q.dtype()), dtype_name(k.dtype()), dtype_name(v.dtype()));
  require(s.window >= 0, "attention: a window of {}", s.window);
  const DType dtype = q.dtype();
  const Device device = q.value().device();
  const bool kept = q.tape().recording() && (q.needs_grad() || k.needs_grad() || v.needs_grad());
  Tensor out = Tensor::uninitialized(q_shape, dtype, device),
         lse = Tensor::uninitialized({kept ? s.batch * s.heads : 0, s.query_length},
                                     sum_dtype(dtype), device);
  HT_RUN(attention_forward, device, s, q.value(), k.value(), v.value(), out, lse);
  return q.tape().record("attention", {q, k, v}, out, [=](const Tensor& dout) {
    Tensor dq = Tensor::uninitialized(q_shape, dtype, device),
           dk = Tensor::uninitialized(k_shape, dtype, device),
           dv = Tensor::uninitialized(k_shape, dtype, device);
    HT_RUN(attention_backward, device, s, q.value(), k.value(), v.value(), out, lse, dout, dq, dk,
           dv);
    if (q.needs_grad()) q.add_grad(dq);
    if (k.needs_grad()) k.add_grad(dk);
    if (v.needs_grad()) v.add_grad(dv);
  });
}

}  // namespace halftone
