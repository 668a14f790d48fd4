#include "halftone/base/threads.h"

#include <tbb/info.h>
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

// While a thread works on blocks, what it calls runs on it alone.
struct Inside {
  Inside() { inside = true; }
  ~Inside() { inside = false; }
};

}  // namespace

void set_threads(int count) {
  arena().terminate();
  arena().initialize(count > 0 ? count : tbb::info::default_concurrency());
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
        int64_t{0}, divide_up(n, block),
        [&](int64_t i) {
          const Inside guard;
          body(i * block, std::min((i + 1) * block, n));
        },
        tbb::simple_partitioner());
  });
}

}  // namespace halftone
