// Vector code chosen at run time. A loop is written once, as plain C++ in a lambda marked
// HT_INLINE; simd() compiles it for AVX-512, AVX2 and the baseline, and runs the best that the CPU
// has.
//
//   simd([&]() HT_INLINE { for (int64_t i = 0; i < n; ++i) y[i] += x[i]; });
//
// Everything that the lambda calls must be HT_INLINE too, or it is compiled for the baseline.
// Reductions vectorise under `#pragma omp simd reduction(+ : s)`.
#pragma once

#define HT_INLINE __attribute__((always_inline))

namespace halftone {

enum class Isa { baseline, avx2, avx512 };

// The best of this CPU, unless HALFTONE_ISA=baseline|avx2|avx512 lowers it or set_isa() did.
Isa isa();
void set_isa(Isa isa);  // for tests; never above what the CPU has
Isa cpu_isa();
const char* isa_name(Isa isa);

// What a function's code may use. Other processors have the baseline alone: their isa() is never
// another, and vectors wider than theirs are cut into pieces by the compiler.
#if defined(__x86_64__)
#define HT_AVX512 \
  __attribute__(( \
      target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,prefer-vector-width=512")))
#define HT_AVX2 __attribute__((target("avx2,fma,f16c")))
#else
#define HT_AVX512
#define HT_AVX2
#endif

template <class Body>
HT_AVX512 void simd_avx512(const Body& body) {
  body();
}

template <class Body>
HT_AVX2 void simd_avx2(const Body& body) {
  body();
}

template <class Body>
void simd(const Body& body) {
  switch (isa()) {
    case Isa::avx512:
      return simd_avx512(body);
    case Isa::avx2:
      return simd_avx2(body);
    case Isa::baseline:
      break;
  }
  body();
}

}  // namespace halftone
