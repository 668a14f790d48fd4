// Answers what OpenMP asks of the environment; or sets variables and replaces the process by one
// that has them.
#include "halftone/tensor/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr const char *kSpins = "GOMP_SPINCOUNT", *kWaits = "OMP_WAIT_POLICY";
char spins[] = "1000";
bool spins_asked = false;  // by OpenMP, when it was loaded

char* found(const char* name) {
  const size_t length = std::strlen(name);
  for (char** entry = environ; entry && *entry; ++entry)
    if (std::strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
      return *entry + length + 1;
  return nullptr;
}

bool set_if_missing(const char* name, const std::string& value) {
  return !value.empty() && !found(name) && ::setenv(name, value.c_str(), 0) == 0;
}

}  // namespace

void start_with_environment(char** argv) {
  const bool waits = !spins_asked && !found(kWaits) && set_if_missing(kSpins, spins);
  const bool blas = set_if_missing("OPENBLAS_CORETYPE", better_blas_core());
  if (waits || blas) ::execv("/proc/self/exe", argv);
}

}  // namespace halftone

// In place of the C library's in the whole process: GNU's OpenMP before version 13 reads its
// variables by it, before main() begins. Later ones read the environment itself, and the process is
// started again, which takes as long as a small model takes to answer.
extern "C" __attribute__((visibility("default"))) char* getenv(const char* name) noexcept {
  char* const value = halftone::found(name);
  if (std::strcmp(name, halftone::kSpins) != 0) return value;
  halftone::spins_asked = true;
  return value || halftone::found(halftone::kWaits) ? value : halftone::spins;
}
