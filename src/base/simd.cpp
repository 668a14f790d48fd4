#include "halftone/base/simd.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace halftone {
namespace {

Isa from_environment() {
  const char* wanted = std::getenv("HALFTONE_ISA");
  const Isa best = cpu_isa();
  if (!wanted) return best;
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512})
    if (std::strcmp(wanted, isa_name(isa)) == 0) return std::min(isa, best);
  return best;
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa = from_environment();
  return isa;
}

}  // namespace

Isa cpu_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return Isa::avx512;
#ifdef __clang__  // which does not know the name; no processor has AVX2 without it
  constexpr bool f16c = true;
#else
  const bool f16c = __builtin_cpu_supports("f16c");
#endif
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && f16c) return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa isa() {
  return current().load(std::memory_order_relaxed);
}

void set_isa(Isa isa) {
  current().store(std::min(isa, cpu_isa()));
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

}  // namespace halftone
