// What libraries read from the environment before main() begins.
#pragma once

namespace halftone {

// Where they are not set, what the program links has these variables:
//   GOMP_SPINCOUNT=1000   OpenMP's threads wait asleep. Spinning, they would take the core from
//                         whoever else needs it.
//   OPENBLAS_CORETYPE     where OpenBLAS, being older than the CPU, took its slowest kernels
// The first is answered when OpenMP asks for it (getenv() of this folder). For the second, and for
// an OpenMP that did not ask, the running program is started again. For the first line of main();
// returns where there is nothing to set, or no way to start again.
void start_with_environment(char** argv);

}  // namespace halftone
