// Matrix products on the GPU, by cuBLAS: F32 in F32 throughout, BF16 with sums in F32. The library
// is loaded at the first product: it takes most of a second, which a command without one is spared.
#include "halftone/tensor/gemm.h"

#include <cublas_v2.h>
#include <dlfcn.h>

#include "halftone/tensor/device.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {
namespace {

// The functions that are called, by their names in the library.
struct Blas {
  decltype(&cublasCreate_v2) create;
  decltype(&cublasSetStream_v2) set_stream;
  decltype(&cublasSetWorkspace_v2) set_workspace;
  // The header has a second cublasGemmEx, for C++ callers of old.
  cublasStatus_t (*gemm)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                         const void*, const void*, cudaDataType, int, const void*, cudaDataType,
                         int, const void*, void*, cudaDataType, int, cublasComputeType_t,
                         cublasGemmAlgo_t);
  decltype(&cublasGetStatusString) status_text;
};

Blas load_blas() {
  const std::string name = fmt::format("libcublas.so.{}", CUBLAS_VER_MAJOR);
  void* library = dlopen(name.c_str(), RTLD_NOW);
  if (!library)
    throw_error(ErrorKind::recipe, "device: the GPU's products need {}, which was not found: {}",
                name, dlerror());
  const auto find = [&]<class F>(F& function, const char* symbol) {
    function = reinterpret_cast<F>(dlsym(library, symbol));
    if (!function) throw_error(ErrorKind::recipe, "device: {} has no {}", name, symbol);
  };
  Blas out;
  find(out.create, "cublasCreate_v2");
  find(out.set_stream, "cublasSetStream_v2");
  find(out.set_workspace, "cublasSetWorkspace_v2");
  find(out.gemm, "cublasGemmEx");
  find(out.status_text, "cublasGetStatusString");
  return out;
}

const Blas& blas() {
  static const Blas the = load_blas();
  return the;
}

void check_blas(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("cuBLAS: {}: {}", what, blas().status_text(status)));
}

// One handle on the one queue, with a workspace of its own: the same call gives the same bits.
cublasHandle_t handle() {
  static const cublasHandle_t the = [] {
    cublasHandle_t out;
    check_blas(blas().create(&out), "cublasCreate");
    check_blas(blas().set_stream(out, stream()), "cublasSetStream");
    constexpr size_t kWorkspace = size_t{64} << 20;
    static const std::shared_ptr<void> workspace = allocate(kWorkspace);
    check_blas(blas().set_workspace(out, workspace.get(), kWorkspace), "cublasSetWorkspace");
    return out;
  }();
  return the;
}

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

}  // namespace

// Row-major c = op(a) op(b) is column-major c^T = op(b)^T op(a)^T.
void gemm(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta, Tensor& c) {
  const DType dtype = a.dtype() == DType::bf16 ? DType::bf16 : DType::f32;
  const Tensor x = a.to(dtype), y = b.to(dtype);
  require(c.dtype() == DType::f32 || c.dtype() == dtype, "gemm: {} by {} into {}",
          dtype_name(a.dtype()), dtype_name(b.dtype()), dtype_name(c.dtype()));
  const int m = static_cast<int>(c.dim(0)), n = static_cast<int>(c.dim(1)),
            k = static_cast<int>(x.dim(ta == Transpose::no ? 1 : 0));
  if (c.numel() == 0) return;
  const float one = 1, keep = static_cast<float>(beta);
  const auto op = [](Transpose t) { return t == Transpose::no ? CUBLAS_OP_N : CUBLAS_OP_T; };
  check_blas(
      blas().gemm(handle(), op(tb), op(ta), n, m, k, &one, y.raw(), type_of(dtype),
                  static_cast<int>(y.dim(1)), x.raw(), type_of(dtype), static_cast<int>(x.dim(1)),
                  &keep, c.raw(), type_of(c.dtype()), n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
      "gemm");
}

}  // namespace halftone::cuda
