// OpenBLAS on the thread that calls it. Work is split among our own threads: those of OpenMP spin
// for milliseconds after each call, on the cores that ours need next.
#pragma once

namespace halftone {

// To be called before a BLAS or LAPACK function, by the thread that calls it.
void blas_on_this_thread();

}  // namespace halftone
