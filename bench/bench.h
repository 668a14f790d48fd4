// What the benches share: Google Benchmark with this machine's ISA, kernels and threads in its
// context, a rate in FLOP/s, and how results are compared.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/environment.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/memory.h"
#include "halftone/tensor/tensor.h"

namespace halftone::bench {

inline Tensor random_tensor(const Shape& shape, uint64_t stream, double deviation = 1) {
  Tensor out = Tensor::uninitialized(shape, DType::f32);
  Rng rng(1, stream);
  for (int64_t i = 0; i < out.numel(); ++i)
    out.data<float>()[i] = static_cast<float>(deviation * rng.normal());
  return out;
}

inline std::vector<int32_t> random_ids(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  Rng rng(1, 1);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary)));
  return ids;
}

// Floating-point operations of one iteration, shown as a rate.
inline void set_rate(benchmark::State& state, double operations) {
  state.counters["FLOP/s"] =
      benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
}

// Seconds of work() once.
template <class Work>
double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The largest difference of a and b in share of the largest number of b; NaN differs from all.
inline double relative_difference(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(DType::f64), y = b.to(DType::f64);
  require(x.shape() == y.shape(), "relative_difference: {} and {}", shape_text(x.shape()),
          shape_text(y.shape()));
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double difference = std::abs(x.data<double>()[i] - y.data<double>()[i]);
    if (!(difference <= worst)) worst = difference;
    largest = std::max(largest, std::abs(y.data<double>()[i]));
  }
  return worst == 0 ? 0 : worst / largest;
}

// Peak resident memory of the process so far: of one bench only when it runs alone.
inline void set_peak_memory(benchmark::State& state) {
  state.counters["peak_rss_MB"] = static_cast<double>(peak_rss_bytes()) / 1e6;
}

inline int run(int argc, char** argv) {
  start_with_environment(argv);
  set_threads(0);
  benchmark::AddCustomContext("isa", isa_name(isa()));
  benchmark::AddCustomContext("blas", blas_name());
  benchmark::AddCustomContext("threads", std::to_string(threads()));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace halftone::bench
