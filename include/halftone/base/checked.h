// Arithmetic on sizes that come out of files: every overflow is an error naming what overflowed.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

namespace halftone {

// Throws Error(format) "<what>: ... overflows".
[[noreturn]] void throw_overflow(std::string_view what);

inline uint64_t checked_mul(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t out;
  if (__builtin_mul_overflow(a, b, &out)) throw_overflow(what);
  return out;
}

inline uint64_t checked_add(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t out;
  if (__builtin_add_overflow(a, b, &out)) throw_overflow(what);
  return out;
}

// The next multiple of `alignment`, a power of two.
inline uint64_t checked_align_up(uint64_t a, uint64_t alignment, std::string_view what) {
  return checked_add(a, alignment - 1, what) & ~(alignment - 1);
}

// `value` as a To that holds it exactly.
template <class To, class From>
To checked_narrow(From value, std::string_view what) {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  const To out = static_cast<To>(value);
  if (static_cast<From>(out) != value || ((out < To{}) != (value < From{}))) throw_overflow(what);
  return out;
}

}  // namespace halftone
