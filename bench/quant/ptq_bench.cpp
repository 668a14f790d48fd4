// Seconds of each post-training method on one linear given its Hessian, and of BiLLM's searches on
// one block:  ptq_bench [rows [columns]]  (4096 x 4096). One JSON object a line. The block is
// written to block.f64 in the working directory, for bench/peers/ptq_numpy.py.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "bench/bench.h"
#include "halftone/quant/hessian.h"
#include "halftone/quant/methods.h"
#include "halftone/quant/partition.h"
#include "halftone/tensor/memory.h"

namespace {

using namespace halftone;

// The rate of dgemm at the shape of a lazy update, the method's only bound that is not its own
// code.
double gemm_rate(int64_t n, int64_t m) {
  const int64_t b = 128;
  Tensor e = bench::random_tensor({n, b}, 7).to(DType::f64),
         u = bench::random_tensor({b, m}, 8).to(DType::f64);
  Tensor w = Tensor::zeros({n, m}, DType::f64);
  double best = 0;
  for (int k = 0; k < 3; ++k) {
    const double time = bench::seconds_of([&] { gemm(Transpose::no, Transpose::no, e, u, 1, w); });
    best = std::max(best, 2.0 * static_cast<double>(n * m * b) / time);
  }
  return best / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t n = argc > 1 ? std::atoll(argv[1]) : 4096, m = argc > 2 ? std::atoll(argv[2]) : n;
  set_threads(0);
  const Tensor w = bench::random_tensor({n, m}, 1);
  HessianSum sum(m);
  const double hessian_seconds = bench::seconds_of([&] {
    sum.add(bench::random_tensor({2 * m, m}, 2), 1);
  });
  const Tensor hessian = sum.hessian();
  fmt::print(
      "{{\"isa\": \"{}\", \"threads\": {}, \"rows\": {}, \"columns\": {}, "
      "\"dgemm_gflops\": {:.1f}, \"hessian_seconds\": {:.2f}}}\n",
      isa_name(isa()), threads(), n, m, gemm_rate(n, m), hessian_seconds);
  fmt::print("{{\"what\": \"prepare_hessian\", \"seconds\": {:.3f}}}\n",
             bench::seconds_of([&] { prepare_hessian(hessian, 0.01); }));

  SearchBlock block{
      .rows = n, .width = 128, .t = std::vector<double>(static_cast<size_t>(n * 128))};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < 128; ++j) block.t[i * 128 + j] = w.data<float>()[i * m + j];
  std::ofstream("block.f64", std::ios::binary)
      .write(reinterpret_cast<const char*>(block.t.data()),
             static_cast<std::streamsize>(8 * block.t.size()));
  const std::vector<double> u(128, 1.0);
  BlockPartition found;
  const double search =
      bench::seconds_of([&] { found = partition_block(block, u, {}, {.cgb = false}); });
  int64_t salient = 0, hi = 0;
  for (const uint8_t s : found.salient) salient += s;
  for (const uint8_t g : found.group) hi += g;
  fmt::print(
      "{{\"what\": \"search of one block\", \"seconds\": {:.4f}, \"salient\": {}, \"hi\": {}}}\n",
      search, salient, hi);

  for (const PtqMethod& method : ptq_methods()) {
    LowBitMatrix q;
    const double time = bench::seconds_of(
        [&] { q = method.quantise(w, hessian, {.cgb = method.name != "billm"}); });
    const double error = relative_error(w, reconstruct(q), hessian);
    if (!std::isfinite(error) || error <= 0 || error >= 1) {
      fmt::print(stderr, "{}: relative error {}, the result is wrong\n", method.name, error);
      return 1;
    }
    fmt::print(
        "{{\"what\": \"{}\", \"seconds\": {:.2f}, \"relative_error\": {:.4f}, "
        "\"peak_rss_mb\": {:.0f}}}\n",
        method.name, time, error, static_cast<double>(peak_rss_bytes()) / 1e6);
    std::fflush(stdout);
  }
}
