#include "halftone/base/threads.h"

#include <omp.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

namespace halftone {
namespace {

tbb::task_arena& arena() {
  static tbb::task_arena* instance = new tbb::task_arena;  // outlives static destructors
  return *instance;
}

thread_local bool inside = false;

// While a thread works on blocks, what it calls runs on it alone, the BLAS included: that asks
// OpenMP how many threads it may use.
class Inside {
 public:
  Inside() : before_(omp_get_max_threads()) {
    inside = true;
    omp_set_num_threads(1);
  }
  ~Inside() {
    inside = false;
    omp_set_num_threads(before_);
  }

 private:
  int before_;
};

}  // namespace

void set_threads(int count) {
  const int wanted = count > 0 ? count : omp_get_num_procs();
  omp_set_num_threads(wanted);
  arena().terminate();
  arena().initialize(wanted);
}

int threads() {
  return inside ? 1 : arena().max_concurrency();
}

void parallel_for(int64_t n, int64_t block, RangeFunction body) {
  if (n <= 0) return;
  if (n <= block || inside) {
    for (int64_t begin = 0; begin < n; begin += block) body(begin, std::min(begin + block, n));
    return;
  }
  arena().execute([&] {
    tbb::parallel_for(
        int64_t{0}, (n + block - 1) / block,
        [&](int64_t i) {
          const Inside guard;
          body(i * block, std::min((i + 1) * block, n));
        },
        tbb::simple_partitioner());
  });
}

}  // namespace halftone
