// Sets variables and replaces the process by one that has them.
#include "halftone/tensor/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

bool set_if_missing(const char* name, const std::string& value) {
  return !value.empty() && !std::getenv(name) && ::setenv(name, value.c_str(), 0) == 0;
}

}  // namespace

void start_with_environment(char** argv) {
  const bool waits = !std::getenv("OMP_WAIT_POLICY") && set_if_missing("GOMP_SPINCOUNT", "1000");
  const bool blas = set_if_missing("OPENBLAS_CORETYPE", better_blas_core());
  if (waits || blas) ::execv("/proc/self/exe", argv);
}

}  // namespace halftone
