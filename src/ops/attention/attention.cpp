#include "halftone/ops/attention.h"

#include <cstring>

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

void copy_rows(int64_t rows, size_t bytes, const void* from, size_t from_step, void* to,
               size_t to_step) {
  parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      std::memcpy(static_cast<char*>(to) + i * to_step,
                  static_cast<const char*>(from) + i * from_step, bytes);
  });
}

size_t row_bytes(const Tensor& x) {
  return storage_bytes(x.dtype(), x.dim(1));
}

// Columns [first, first + width) of x, and back into x; on the CPU.
Tensor columns(const Tensor& x, int64_t first, int64_t width) {
  Tensor out = Tensor::uninitialized({x.dim(0), width}, x.dtype());
  const Tensor from = x.flat().rows(first, x.numel());
  copy_rows(x.dim(0), row_bytes(out), from.raw(), row_bytes(x), out.raw(), row_bytes(out));
  return out;
}
void put_columns(const Tensor& part, int64_t first, Tensor& x) {
  Tensor to = x.flat().rows(first, x.numel());
  copy_rows(x.dim(0), row_bytes(part), part.raw(), row_bytes(part), to.raw(), row_bytes(x));
}

struct Parts {
  Tensor q, k, v;
};

// Of one tensor: views of it on a GPU, copies on the CPU, whose kernels have no stride.
Parts parts_of(const AttentionShape& s, const Tensor& whole) {
  const auto part = [&](int64_t first, int64_t width) {
    return s.stride ? whole.flat().rows(first, whole.numel()) : columns(whole, first, width);
  };
  return {part(0, s.query_width()), part(s.query_width(), s.key_width()),
          part(s.query_width() + s.key_width(), s.key_width())};
}

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
  const Parts parts = parts_of(s, qkv.value());
  HT_RUN(attention_forward, device, s, parts.q, parts.k, parts.v, out, lse);
  return qkv.tape().record("attention", {qkv}, out, [=](const Tensor& dout) {
    const Parts in = parts_of(s, qkv.value());
    Tensor d = qkv.value().like();
    Parts to = s.stride ? parts_of(s, d) : Parts{in.q.like(), in.k.like(), in.v.like()};
    HT_RUN(attention_backward, device, s, in.q, in.k, in.v, out, lse, dout, to.q, to.k, to.v);
    if (!s.stride) {
      put_columns(to.q, 0, d);
      put_columns(to.k, s.query_width(), d);
      put_columns(to.v, s.query_width() + s.key_width(), d);
    }
    qkv.add_grad(d);
  });
}

}  // namespace halftone
