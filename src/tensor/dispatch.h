// The door between an op and its kernels. An op's public function checks, allocates and records;
// the loops are kernels over tensors, declared once in the op's .cpp and called by the device on
// which the tensors lie:
//
//   HT_KERNEL(rms_norm_forward, const Tensor& x, const Tensor& gain, double eps, Tensor& y)
//   ...
//   HT_RUN(rms_norm_forward, x.device(), x, gain, eps, y);
//
// cpu::rms_norm_forward stands in that .cpp, cuda::rms_norm_forward in the .cu of the same stem. A
// build with CUDA that lacks one does not link and names it; a build without throws, naming it too.
// HT_CPU_KERNEL declares a kernel that has no twin.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// What a CPU build says to a tensor of another device.
[[noreturn]] void throw_no_kernel(const char* kernel, Device device);

}  // namespace halftone

#define HT_KERNEL(kernel, ...) \
  namespace cpu {              \
  void kernel(__VA_ARGS__);    \
  }                            \
  namespace cuda {             \
  void kernel(__VA_ARGS__);    \
  }

// A kernel that the CPU alone has: on another device it throws, in any build.
#define HT_CPU_KERNEL(kernel, ...)           \
  namespace cpu {                            \
  void kernel(__VA_ARGS__);                  \
  }                                          \
  namespace cuda {                           \
  template <class... Arguments>              \
  [[noreturn]] void kernel(Arguments&&...) { \
    throw_no_kernel(#kernel, Device::cuda);  \
  }                                          \
  }

#ifdef HALFTONE_CUDA
#define HT_RUN(kernel, device, ...) \
  ((device) == Device::cpu ? cpu::kernel(__VA_ARGS__) : cuda::kernel(__VA_ARGS__))
#else
#define HT_RUN(kernel, device, ...) \
  ((device) == Device::cpu ? cpu::kernel(__VA_ARGS__) : throw_no_kernel(#kernel, device))
#endif
