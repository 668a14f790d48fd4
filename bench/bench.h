// What the benches share: Google Benchmark with this machine's ISA, kernels and threads in its
// context, and a rate in GFLOP/s.
#pragma once

#include <benchmark/benchmark.h>

#include "halftone/base/rng.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/tensor.h"

namespace halftone::bench {

inline Tensor random_tensor(const Shape& shape, uint64_t stream, double deviation = 1) {
  Tensor out = Tensor::uninitialized(shape, DType::f32);
  Rng rng(1, stream);
  for (int64_t i = 0; i < out.numel(); ++i)
    out.data<float>()[i] = static_cast<float>(deviation * rng.normal());
  return out;
}

// Floating-point operations of one iteration, shown as a rate.
inline void set_rate(benchmark::State& state, double operations) {
  state.counters["FLOP/s"] =
      benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
}

inline int run(int argc, char** argv) {
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
