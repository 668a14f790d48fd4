// Threads: a team that takes blocks as its threads get free (OpenMP). Work is split into blocks
// that depend only on the size of the problem, so results do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "halftone/base/rounding.h"

namespace halftone {

// 0 means every core that this process may use.
void set_threads(int count);
int threads();

// A reference to a callable void(int64_t begin, int64_t end), valid during the call it is passed
// to.
class RangeFunction {
 public:
  template <class F>
  RangeFunction(const F& f)  // NOLINT: implicit by intent
      : object_(&f), call_([](const void* object, int64_t begin, int64_t end) {
          (*static_cast<const F*>(object))(begin, end);
        }) {}
  void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t, int64_t);
};

// Calls body(begin, end) over [0, n) in blocks of `block`; runs in the caller alone when there is
// one block, or in a body of another call. The first exception of the body is rethrown in the
// caller, when the blocks that had begun are done.
void parallel_for(int64_t n, int64_t block, RangeFunction body);

// Sum over the blocks, in their order, of what body(begin, end) returns: the same bits for any
// number of threads.
template <class F>
double parallel_sum(int64_t n, int64_t block, const F& body) {
  std::vector<double> parts(static_cast<size_t>(divide_up(n, block)));
  parallel_for(n, block,
               [&](int64_t begin, int64_t end) { parts[begin / block] = body(begin, end); });
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

}  // namespace halftone
