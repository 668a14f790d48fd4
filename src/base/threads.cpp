#include "halftone/base/threads.h"

#include <omp.h>

#include <algorithm>
#include <exception>

namespace halftone {

void set_threads(int count) {
  omp_set_num_threads(count > 0 ? count : omp_get_num_procs());
}

int threads() {
  return omp_get_max_threads();
}

void parallel_for(int64_t n, int64_t block, RangeFunction body) {
  if (n <= 0) return;
  if (n <= block || omp_in_parallel()) {
    for (int64_t begin = 0; begin < n; begin += block) body(begin, std::min(begin + block, n));
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < n; begin += block) {
    try {
      body(begin, std::min(begin + block, n));
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace halftone
