#include "halftone/ops/attention.h"

#include <algorithm>

#include "halftone/base/threads.h"
#include "passes.h"

namespace halftone {

namespace {

void check_heads(const AttentionShape& s) {
  require(s.key_value_heads > 0 && s.heads % s.key_value_heads == 0,
          "attention: {} heads, {} key-value heads", s.heads, s.key_value_heads);
  require(s.head_dim <= kMostHeadDim, "attention: heads of {}, expected at most {}", s.head_dim,
          kMostHeadDim);
  require(s.key_length >= s.query_length, "attention: {} queries, {} keys", s.query_length,
          s.key_length);
  require(s.window >= 0, "attention: a window of {}", s.window);
}

Tensor lse_of(const AttentionShape& s, bool kept, DType dtype, Device device) {
  return Tensor::uninitialized({kept ? s.batch * s.heads : 0, s.query_length}, sum_dtype(dtype),
                               device);
}

// body(from, to, numbers) for the columns [first, first + width) of each row of `whole` and the
// rows of `part`.
template <class Body>
void for_rows(const Tensor& whole, int64_t first, const Tensor& part, const Body& body) {
  const int64_t bytes = static_cast<int64_t>(dtype_bytes(whole.dtype())),
                step = whole.dim(1) * bytes, size = part.dim(1) * bytes;
  parallel_for(whole.dim(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i * step + first * bytes, i * size, size);
  });
}

// q, k and v of one tensor: views of it on a GPU, copies on the CPU, whose kernels have no stride.
struct Parts {
  Tensor q, k, v;

  Parts(const AttentionShape& s, const Tensor& whole, bool filled) {
    const auto part = [&](int64_t first, int64_t width) {
      if (s.stride) return whole.reshape({whole.numel()}).rows(first, whole.numel());
      Tensor out = Tensor::uninitialized({whole.dim(0), width}, whole.dtype());
      if (filled)
        for_rows(whole, first, out, [&](int64_t from, int64_t to, int64_t n) {
          std::copy_n(static_cast<const char*>(whole.raw()) + from, n,
                      static_cast<char*>(out.raw()) + to);
        });
      return out;
    };
    q = part(0, s.query_width());
    k = part(s.query_width(), s.key_width());
    v = part(s.query_width() + s.key_width(), s.key_width());
  }

  void put_into(const AttentionShape& s, Tensor& whole) const {
    if (s.stride) return;
    const auto put = [&](int64_t first, const Tensor& part) {
      for_rows(whole, first, part, [&](int64_t to, int64_t from, int64_t n) {
        std::copy_n(static_cast<const char*>(part.raw()) + from, n,
                    static_cast<char*>(whole.raw()) + to);
      });
    };
    put(0, q);
    put(s.query_width(), k);
    put(s.query_width() + s.key_width(), v);
  }
};

}  // namespace

Var attention(const Var& q, const Var& k, const Var& v, const AttentionShape& s) {
  check_heads(s);
  const Shape q_shape{s.batch * s.query_length, s.heads * s.head_dim};
  const Shape k_shape = s.key_capacity
                            ? Shape{s.batch * s.key_value_heads * s.key_capacity, s.head_dim}
                            : Shape{s.batch * s.key_length, s.key_value_heads * s.head_dim};
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
  const DType dtype = q.dtype();
  const Device device = q.value().device();
  const bool kept = q.tape().recording() && (q.needs_grad() || k.needs_grad() || v.needs_grad());
  Tensor out = Tensor::uninitialized(q_shape, dtype, device), lse = lse_of(s, kept, dtype, device);
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

Var attention(const Var& qkv, const AttentionShape& shape) {
  AttentionShape s = shape;
  check_heads(s);
  require(!s.key_capacity && s.query_length == s.key_length,
          "attention: {} queries and {} keys of one tensor", s.query_length, s.key_length);
  require(qkv.shape() == Shape{s.batch * s.query_length, s.query_width() + 2 * s.key_width()},
          "attention: queries, keys and values {}", shape_text(qkv.shape()));
  const Device device = qkv.device();
  if (device == Device::cuda) s.stride = qkv.dim(1);
  const bool kept = qkv.tape().recording() && qkv.needs_grad();
  Tensor out = Tensor::uninitialized({qkv.dim(0), s.query_width()}, qkv.dtype(), device),
         lse = lse_of(s, kept, qkv.dtype(), device);
  const Parts parts(s, qkv.value(), true);
  HT_RUN(attention_forward, device, s, parts.q, parts.k, parts.v, out, lse);
  return qkv.tape().record("attention", {qkv}, out, [=](const Tensor& dout) {
    const Parts in(s, qkv.value(), true);
    Tensor d = qkv.value().like();
    Parts to(s, d, false);
    HT_RUN(attention_backward, device, s, in.q, in.k, in.v, out, lse, dout, to.q, to.k, to.v);
    to.put_into(s, d);
    qkv.add_grad(d);
  });
}

}  // namespace halftone
