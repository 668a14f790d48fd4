// What the machine can do, which every other bench is a share of: fused multiply-adds, read
// bandwidth, and sgemm in its three directions on the shapes of a SmolLM2-135M step (T = 512), of
// the small models' (8 x 256) and of their heads, by chunks of 192 tokens.
#include <cmath>
#include <vector>

#include "bench/bench.h"
#include "ops/row_math.h"
#include "tensor/gemm/sign_gemm.h"
#include "tensor/gemm/transpose.h"

namespace halftone {
namespace {

using bench::random_tensor;
using bench::set_rate;

constexpr int kChains = 12;  // enough to hide the latency, few enough to stay in registers
constexpr int kSteps = 1 << 21;

// Independent chains of x <- a x + b in registers; two operations each. The sum of the first lanes.
template <class Vector>
HT_INLINE inline float run_chains() {
  Vector x[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) x[c] = Vector{} + static_cast<float>(c);
  const Vector a = Vector{} + 0.5f, b = Vector{} + 1.0f;
  for (int i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) x[c] = a * x[c] + b;
  }
  Vector sum{};
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum += x[c];
  return sum[0];
}

void fused_multiply_adds(benchmark::State& state) {
  set_threads(static_cast<int>(state.range(0)));
  const bool wide = isa() == Isa::avx512;
  std::vector<float> sums(static_cast<size_t>(threads()));
  for (auto _ : state) {
    parallel_for(threads(), 1, [&](int64_t begin, int64_t) {
      if (wide)
        simd_avx512([&]() HT_INLINE { sums[begin] = run_chains<Sixteen>(); });
      else
        simd([&]() HT_INLINE { sums[begin] = run_chains<Eight>(); });
    });
    benchmark::DoNotOptimize(sums.data());
  }
  if (std::abs(sums[0] - 2 * kChains) > 1e-3) state.SkipWithError("a wrong sum");
  set_rate(state, 2.0 * kChains * (wide ? 16 : 8) * kSteps * threads());
  set_threads(0);
}

void read_bandwidth(benchmark::State& state) {
  set_threads(static_cast<int>(state.range(0)));
  const int64_t n = int64_t{1} << 28;  // 1 GiB, beyond any cache
  static const Tensor x = Tensor::full({n}, DType::f32, 1);
  const float* p = x.data<float>();
  double sum = 0;
  for (auto _ : state)
    sum = parallel_sum(n, n / 64, [&](int64_t begin, int64_t end) {
      float part = 0;
      simd([&]() HT_INLINE { part = row_sum(end - begin, p + begin); });
      return static_cast<double>(part);
    });
  if (sum != static_cast<double>(n)) state.SkipWithError("a wrong sum");
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * n * 4);
  set_threads(0);
}

// Direction 0: y = x W^T; 1: dx = dy W; 2: dW = dy^T x.  x is T x in, W is out x in.
void sgemm(benchmark::State& state) {
  const int64_t t = state.range(0), in = state.range(1), out = state.range(2);
  Tensor x = random_tensor({t, in}, 1), w = random_tensor({out, in}, 2),
         y = random_tensor({t, out}, 3);
  for (auto _ : state) switch (state.range(3)) {
      case 0:
        gemm(Transpose::no, Transpose::yes, x, w, 0, y);
        break;
      case 1:
        gemm(Transpose::no, Transpose::no, y, w, 0, x);
        break;
      default:
        gemm(Transpose::yes, Transpose::no, y, x, 0, w);
    }
  set_rate(state, 2.0 * static_cast<double>(t * in * out));
}

// y = x S^T of a 1-bit linear, counted as the product it replaces.
void signs(benchmark::State& state) {
  const int64_t t = state.range(0), in = state.range(1), out = state.range(2);
  const Tensor x = random_tensor({t, in}, 1), w = random_tensor({out, in}, 2),
               g = random_tensor({in}, 3), h = random_tensor({out}, 4);
  Tensor y = random_tensor({t, out}, 5);
  for (auto _ : state) sign_gemm(Transpose::yes, x, w, g, h, 0, y);
  double wanted = 0;
  for (int64_t i = 0; i < in; ++i)
    wanted += (w.data<float>()[i] >= 0 ? 1.0 : -1.0) * g.data<float>()[i] * x.data<float>()[i];
  if (std::abs(wanted * h.data<float>()[0] - y.data<float>()[0]) > 1e-3)
    state.SkipWithError("a wrong product");
  set_rate(state, 2.0 * static_cast<double>(t * in * out));
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"T", "in", "out", "direction"})->UseRealTime();
  using Sizes = std::pair<int64_t, int64_t>;
  for (const int64_t direction : {0, 1, 2}) {
    for (const auto& [in, out] : {Sizes{576, 576}, {576, 192}, {576, 1536}, {1536, 576}})
      b->Args({512, in, out, direction});
    for (const auto& [in, out] :
         {Sizes{256, 256}, {256, 128}, {256, 688}, {688, 256}, {256, 640}, {640, 256}})
      b->Args({2048, in, out, direction});
    for (const auto& [in, out] : {Sizes{576, 49152}, {256, 4096}, {256, 2048}})
      b->Args({192, in, out, direction});
  }
  b->Args({2048, 2048, 2048, 0});
}

BENCHMARK(fused_multiply_adds)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(read_bandwidth)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(sgemm)->Apply(shapes)->Unit(benchmark::kMicrosecond);

BENCHMARK(signs)
    ->ArgNames({"T", "in", "out"})
    ->UseRealTime()
    ->Args({512, 576, 1536})
    ->Args({512, 1536, 576})
    ->Args({512, 576, 192})
    ->Args({2048, 256, 688})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  return halftone::bench::run(argc, argv);
}
