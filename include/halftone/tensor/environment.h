// What libraries read from the environment before main() begins.
#pragma once

namespace halftone {

// Starts the running program again with these variables, where they are not set:
//   GOMP_SPINCOUNT=1000   OpenMP's threads wait asleep. Spinning, they would take the core from
//                         whoever else needs it.
//   OPENBLAS_CORETYPE     where OpenBLAS, being older than the CPU, took its slowest kernels
// For the first line of main(); returns where there is nothing to set, or no way to start again.
void start_with_environment(char** argv);

}  // namespace halftone
