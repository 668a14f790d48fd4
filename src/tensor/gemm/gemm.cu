// Matrix products on the GPU, by cuBLASLt: F32 in F32 throughout, BF16 with sums in F32. The
// library is loaded at the first product: it takes most of a second, which a command without one is
// spared.
#include "halftone/tensor/gemm.h"

#include <cublasLt.h>
#include <cublas_api.h>
#include <dlfcn.h>

#include <array>
#include <map>
#include <tuple>

#include "halftone/tensor/device.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

void gemm_add(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, const Tensor& plus,
              Tensor& c);

namespace {

// The functions that are called, by their names in the library.
struct Blas {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtMatmulDescCreate) product_create;
  decltype(&cublasLtMatmulDescSetAttribute) product_set;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
  decltype(&cublasLtMatmulAlgoGetHeuristic) find;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) get;
  decltype(&cublasLtMatmul) multiply;
  decltype(&cublasLtGetStatusString) status_text;
};

Blas load_blas() {
  const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  void* library = dlopen(name.c_str(), RTLD_NOW);
  if (!library)
    throw_error(ErrorKind::recipe, "device: the GPU's products need {}, which was not found: {}",
                name, dlerror());
  const auto find = [&]<class F>(F& function, const char* symbol) {
    function = reinterpret_cast<F>(dlsym(library, symbol));
    if (!function) throw_error(ErrorKind::recipe, "device: {} has no {}", name, symbol);
  };
  Blas out;
  find(out.create, "cublasLtCreate");
  find(out.product_create, "cublasLtMatmulDescCreate");
  find(out.product_set, "cublasLtMatmulDescSetAttribute");
  find(out.layout_create, "cublasLtMatrixLayoutCreate");
  find(out.preference_create, "cublasLtMatmulPreferenceCreate");
  find(out.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  find(out.find, "cublasLtMatmulAlgoGetHeuristic");
  find(out.get, "cublasLtMatmulAlgoConfigGetAttribute");
  find(out.multiply, "cublasLtMatmul");
  find(out.status_text, "cublasLtGetStatusString");
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

cublasLtHandle_t handle() {
  static const cublasLtHandle_t the = [] {
    cublasLtHandle_t out;
    check_blas(blas().create(&out), "cublasLtCreate");
    return out;
  }();
  return the;
}

// One workspace on the one queue: the same call gives the same bits.
constexpr size_t kWorkspace = size_t{64} << 20;
void* workspace() {
  static const std::shared_ptr<void> the = allocate(kWorkspace);
  return the.get();
}

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

// What the way to compute a product is chosen by: row-major C (m x n), op(A) m x k.
struct Product {
  Transpose ta, tb;
  int m, n, k;
  DType dtype, sum;  // of the factors, of C
  bool adds;         // to C, or to another matrix
  uint32_t aligned;  // bytes, of all addresses

  auto key() const { return std::tuple(ta, tb, m, n, k, dtype, sum, adds, aligned); }
  bool operator<(const Product& other) const { return key() < other.key(); }
};

// How a product is computed. cuBLAS reads columns where rows lie: C^T = op(B)^T op(A)^T.
struct Plan {
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t a, b, c;
  cublasLtMatmulAlgo_t algorithm;
};

// A stored row-major matrix, whose columns are rows there.
cublasLtMatrixLayout_t layout_of(DType dtype, int rows, int columns) {
  cublasLtMatrixLayout_t out;
  check_blas(blas().layout_create(&out, type_of(dtype), static_cast<uint64_t>(columns),
                                  static_cast<uint64_t>(rows), columns),
             "layout");
  return out;
}

using Candidates = std::array<cublasLtMatmulHeuristicResult_t, 8>;

// Of what cuBLAS proposes, likeliest first. Where activations are multiplied by a matrix that is
// not large, others of its list than the first take 3 to 20 % less on an H100 (cuBLAS 13.0): those
// with the tiles named here, the better one first. Nothing is measured, so that two runs compute
// alike.
cublasLtMatmulAlgo_t chosen(const Product& s, const Candidates& found, int count) {
  const bool wide = s.n >= 1536;
  if (s.dtype != DType::bf16 || s.ta == Transpose::yes || s.k > (wide ? 1024 : 4096))
    return found[0].algo;
  const std::array narrow{CUBLASLT_MATMUL_TILE_144x128, CUBLASLT_MATMUL_TILE_192x128},
      broad{CUBLASLT_MATMUL_TILE_128x160, CUBLASLT_MATMUL_TILE_176x128};
  for (const cublasLtMatmulTile_t tile : wide ? broad : narrow)
    for (int i = 0; i < count; ++i) {
      const auto get = [&](cublasLtMatmulAlgoConfigAttributes_t which) {
        uint32_t value = 0;
        size_t written = 0;
        check_blas(blas().get(&found[i].algo, which, &value, sizeof value, &written), "algorithm");
        return value;
      };
      if (get(CUBLASLT_ALGO_CONFIG_TILE_ID) == static_cast<uint32_t>(tile) &&
          get(CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1)
        return found[i].algo;
    }
  return found[0].algo;
}

Plan make_plan(const Product& s) {
  Plan plan;
  check_blas(blas().product_create(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "product");
  const auto transposed = [&](cublasLtMatmulDescAttributes_t which, Transpose t) {
    const cublasOperation_t op = t == Transpose::no ? CUBLAS_OP_N : CUBLAS_OP_T;
    check_blas(blas().product_set(plan.product, which, &op, sizeof op), "transpose");
  };
  transposed(CUBLASLT_MATMUL_DESC_TRANSA, s.tb);
  transposed(CUBLASLT_MATMUL_DESC_TRANSB, s.ta);
  const bool at = s.ta == Transpose::yes, bt = s.tb == Transpose::yes;
  plan.a = layout_of(s.dtype, at ? s.k : s.m, at ? s.m : s.k);
  plan.b = layout_of(s.dtype, bt ? s.n : s.k, bt ? s.k : s.n);
  plan.c = layout_of(s.sum, s.m, s.n);
  cublasLtMatmulPreference_t wish;
  check_blas(blas().preference_create(&wish), "preference");
  const auto want = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
    check_blas(blas().preference_set(wish, which, &value, sizeof value), "preference");
  };
  want(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, s.aligned);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, s.aligned);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, s.aligned);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, s.aligned);
  Candidates found;
  int count = 0;
  check_blas(blas().find(handle(), plan.product, plan.b, plan.a, plan.c, plan.c, wish,
                         static_cast<int>(found.size()), found.data(), &count),
             "algorithm");
  require(count > 0, "gemm: cuBLAS has no algorithm for {} x {} x {}", s.m, s.n, s.k);
  plan.algorithm = chosen(s, found, count);
  return plan;
}

// The bytes that all of the addresses are multiples of, at most those that cudaMalloc gives.
uint32_t alignment(std::initializer_list<const void*> addresses) {
  uintptr_t bits = 256;
  for (const void* address : addresses) bits |= reinterpret_cast<uintptr_t>(address);
  return static_cast<uint32_t>(bits & -bits);
}

// c = op(a) op(b) + keep plus; plus may be c.
void multiply(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, const void* plus,
              float keep, Tensor& c) {
  const DType dtype = a.dtype() == DType::bf16 ? DType::bf16 : DType::f32;
  const Tensor x = a.to(dtype), y = b.to(dtype);
  require(c.dtype() == DType::f32 || c.dtype() == dtype, "gemm: {} by {} into {}",
          dtype_name(a.dtype()), dtype_name(b.dtype()), dtype_name(c.dtype()));
  if (c.numel() == 0) return;
  const Product s{.ta = ta,
                  .tb = tb,
                  .m = static_cast<int>(c.dim(0)),
                  .n = static_cast<int>(c.dim(1)),
                  .k = static_cast<int>(x.dim(ta == Transpose::no ? 1 : 0)),
                  .dtype = dtype,
                  .sum = c.dtype(),
                  .adds = keep != 0.0f,
                  .aligned = alignment({x.raw(), y.raw(), plus, c.raw()})};
  static std::map<Product, Plan> plans;
  auto at = plans.find(s);
  if (at == plans.end()) at = plans.emplace(s, make_plan(s)).first;
  const Plan& plan = at->second;
  const float one = 1;
  check_blas(
      blas().multiply(handle(), plan.product, &one, y.raw(), plan.b, x.raw(), plan.a, &keep, plus,
                      plan.c, c.raw(), plan.c, &plan.algorithm, workspace(), kWorkspace, stream()),
      "gemm");
}

}  // namespace

void gemm(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta, Tensor& c) {
  multiply(ta, tb, a, b, c.raw(), static_cast<float>(beta), c);
}

void gemm_add(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, const Tensor& plus,
              Tensor& c) {
  multiply(ta, tb, a, b, plus.raw(), 1.0f, c);
}

}  // namespace halftone::cuda
