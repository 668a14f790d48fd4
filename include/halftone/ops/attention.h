// Causal grouped-query attention in tiles: scores exist for a few queries at a time, so memory
// grows with T, not T^2 (Dao et al., 2022, in idea). Tiles that a window hides are passed over.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

inline constexpr int64_t kMostHeadDim = 288;

struct AttentionShape {
  int64_t batch;             // B
  int64_t query_length;      // Tq
  int64_t key_length;        // Tk; query i sees keys 0 .. Tk - Tq + i
  int64_t heads;             // H
  int64_t key_value_heads;   // G, divides H: query head h reads key head h / (H / G)
  int64_t head_dim;          // D, up to kMostHeadDim
  int64_t key_capacity = 0;  // of a cache: rows a head has in k and v; 0: no cache
  int64_t window = 0;        // keys that a query sees, its latest and itself; 0: all before it
  double scale = 0;          // on q k^T; 0: 1 / sqrt(D)
  int64_t stride = 0;        // from row to row of q, k and v in one tensor; 0: each has its own

  int64_t query_width() const { return heads * head_dim; }
  int64_t key_width() const { return key_value_heads * head_dim; }
};

// out (B*Tq x H*D) from q (B*Tq x H*D), k and v (B*Tk x G*D); of a cache, without gradients,
// (B*G*capacity x D, also in F16): a head's rows lie together, to be read in order. Per head
//   out = softmax(scale q k^T + mask) v,
// the mask of query i hiding the keys above Tk - Tq + i and, with a window W, those below
// Tk - Tq + i - W + 1.
// Backward, with P the softmax and dP = dout v^T:
//   dv += P^T dout, dS = P o (dP - rowsum(dout o out)), dq += scale dS k,
//   dk += scale dS^T q.
// Saves q, k, v, out and one log-sum-exp a row and head.
Var attention(const Var& q, const Var& k, const Var& v, const AttentionShape& shape);
// The same of one tensor whose rows are those of q, k and v one after another (B*T x (H + 2 G)*D),
// as a product for all three makes them; no cache.
Var attention(const Var& qkv, const AttentionShape& shape);

}  // namespace halftone
