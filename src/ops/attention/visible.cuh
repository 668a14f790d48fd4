// Which keys a query sees: those up to its own place, or the last `window` of them.
#pragma once

#include "matrix_units.cuh"

namespace halftone::cuda {

struct AttentionSizes {
  int64_t batch, queries, keys, heads, groups, window;
  float scale, binary;  // of scores; the same times log2 e
};

// The tiles of keys that N queries see; and those of queries that see N keys.
struct Range {
  int64_t begin, end;
};
template <int N>
__device__ inline Range key_tiles(const AttentionSizes& s, int64_t first_query) {
  const int64_t offset = s.keys - s.queries, last_query = min(first_query + N, s.queries) - 1;
  const int64_t first = s.window ? max(int64_t{0}, first_query + offset - s.window + 1) : 0;
  return {first / kTile, (last_query + offset) / kTile + 1};
}
template <int N>
__device__ inline Range query_tiles(const AttentionSizes& s, int64_t first_key) {
  const int64_t offset = s.keys - s.queries, last_key = min(first_key + N, s.keys) - 1;
  const int64_t first = max(int64_t{0}, first_key - offset);
  const int64_t last =
      s.window ? min(s.queries - 1, last_key - offset + s.window - 1) : s.queries - 1;
  return {first / kTile, last < 0 ? 0 : last / kTile + 1};
}
__device__ inline bool visible(const AttentionSizes& s, int64_t query, int64_t key) {
  const int64_t last = query + s.keys - s.queries;
  return key <= last && (!s.window || key > last - s.window);
}
// Each of Q queries sees each of K keys.
template <int Q, int K>
__device__ inline bool all_visible(const AttentionSizes& s, int64_t first_query,
                                   int64_t first_key) {
  return first_query + Q <= s.queries && first_key + K <= s.keys &&
         visible(s, first_query, first_key + K - 1) && visible(s, first_query + Q - 1, first_key);
}

}  // namespace halftone::cuda
