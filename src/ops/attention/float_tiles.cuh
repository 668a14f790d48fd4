// Attention's forward pass in tiles in shared memory, with F32 arithmetic, for heads of up to 128
// numbers and many queries.
#pragma once

#include "heads.cuh"

namespace halftone::cuda {

bool fits_float_tiles(const AttentionShape& s);

// T: float or bf16; K: T or __half. lse is null where it is not asked for.
template <class T, class K>
void float_tile_attention(const Heads& s, const T* q, const K* k, const K* v, T* out, float* lse);

}  // namespace halftone::cuda
