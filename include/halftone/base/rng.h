// Counter-based random numbers: a value is a pure function of (seed, stream, counter), so nothing
// needs to be saved but the counter, and no order of calls or number of threads changes a draw.
// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace halftone {

std::array<uint32_t, 4> philox(uint64_t seed, uint64_t stream, uint64_t counter);

// Streams keep the draws of the program's parts apart under one seed.
enum class RngStream : uint64_t {
  init = 1,
  data_order = 2,
  generate = 3,
  calibration = 4,
  test = 5
};

class Rng {
 public:
  Rng(uint64_t seed, RngStream stream, uint64_t counter = 0)
      : seed_(seed), stream_(static_cast<uint64_t>(stream)), counter_(counter) {}
  Rng(uint64_t seed, uint64_t stream, uint64_t counter = 0)
      : seed_(seed), stream_(stream), counter_(counter) {}

  uint64_t next_u64();
  double uniform();                // [0, 1), 53 bits
  double normal();                 // mean 0, variance 1 (Box-Muller, one value a draw)
  uint64_t below(uint64_t bound);  // 0 .. bound-1, without modulo bias
  uint64_t counter() const { return counter_; }

 private:
  uint64_t seed_, stream_, counter_;
};

// A permutation of 0 .. n-1 (Fisher-Yates), a function of (seed, stream) alone.
std::vector<uint64_t> permutation(uint64_t n, uint64_t seed, uint64_t stream);

}  // namespace halftone
