// Which keys a query sees: those up to its own place, or the last `window` of them.
#pragma once

#include "matrix_units.cuh"

namespace halftone::cuda {

struct AttentionSizes {
  int queries, keys, heads, groups, window;
  float scale, binary;  // of scores; the same times log2 e

  __device__ int last_key(int query) const { return query + keys - queries; }
};

constexpr int kNoWindow = 1 << 30;  // more than there are keys

struct Range {
  int begin, end;
};

// The tiles of keys that N queries see; and those of queries that see N keys.
template <int N>
__device__ inline Range key_tiles(const AttentionSizes& s, int first_query) {
  const int last_query = min(first_query + N, s.queries) - 1;
  return {max(0, s.last_key(first_query) - s.window + 1) / kTile,
          s.last_key(last_query) / kTile + 1};
}
template <int N>
__device__ inline Range query_tiles(const AttentionSizes& s, int first_key) {
  const int offset = s.keys - s.queries, last_key = min(first_key + N, s.keys) - 1;
  const int last = min(s.queries - 1, last_key - offset + s.window - 1);
  return {max(0, first_key - offset) / kTile, last < 0 ? 0 : last / kTile + 1};
}
// Each of Q queries sees each of K keys.
template <int Q, int K>
__device__ inline bool all_visible(const AttentionSizes& s, int first_query, int first_key) {
  return first_key + K - 1 <= s.last_key(first_query) &&
         first_key > s.last_key(first_query + Q - 1) - s.window;
}

}  // namespace halftone::cuda
