// The GPU in use: its queue, its memory, copies.
#include "halftone/tensor/device.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone {
namespace {

struct Gpu {
  int index = -1;
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
};
Gpu in_use;
int place_among_processes = 0;

void start(int index) {
  if (in_use.index == index) return;
  require(in_use.index < 0, "use_device: cuda:{} is in use, cuda:{} asked for", in_use.index,
          index);
  cuda::check(cudaSetDevice(index), "cudaSetDevice");
  cuda::check(cudaStreamCreateWithFlags(&in_use.stream, cudaStreamNonBlocking), "cudaStreamCreate");
  cuda::check(cudaDeviceGetDefaultMemPool(&in_use.pool, index), "cudaDeviceGetDefaultMemPool");
  // What tensors give back stays with the process.
  uint64_t keep = UINT64_MAX;
  cuda::check(cudaMemPoolSetAttribute(in_use.pool, cudaMemPoolAttrReleaseThreshold, &keep),
              "cudaMemPoolSetAttribute");
  in_use.index = index;
}

uint64_t pool_bytes(cudaMemPoolAttr which) {
  uint64_t out = 0;
  if (in_use.index >= 0)
    cuda::check(cudaMemPoolGetAttribute(in_use.pool, which, &out), "cudaMemPoolGetAttribute");
  return out;
}

}  // namespace

Device use_device(const std::string& name) {
  const std::optional<int> index = gpu_index(name);
  if (!index) return Device::cpu;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess)
    throw_error(ErrorKind::recipe, "found \"{}\", but CUDA finds no GPU here: {}", name,
                cudaGetErrorString(error));
  if (*index >= count)
    throw_error(ErrorKind::recipe, "found \"{}\", but this machine has {} GPUs", name, count);
  start((*index + place_among_processes) % count);
  return Device::cuda;
}

void share_gpus(int place) {
  place_among_processes = place;
}

std::string gpu_description() {
  if (in_use.index < 0) return {};
  cudaDeviceProp properties;
  cuda::check(cudaGetDeviceProperties(&properties, in_use.index), "cudaGetDeviceProperties");
  return fmt::format("{}, sm_{}{}", properties.name, properties.major, properties.minor);
}

size_t gpu_memory_bytes() {
  size_t free_bytes = 0, total = 0;
  if (in_use.index >= 0) cuda::check(cudaMemGetInfo(&free_bytes, &total), "cudaMemGetInfo");
  return total;
}

void synchronize(Device device) {
  if (device == Device::cuda) cuda::check(cudaStreamSynchronize(cuda::stream()), "synchronize");
}

size_t peak_gpu_bytes() {
  return pool_bytes(cudaMemPoolAttrUsedMemHigh);
}

void reset_peak_gpu_bytes() {
  if (in_use.index < 0) return;
  uint64_t zero = 0;
  cuda::check(cudaMemPoolSetAttribute(in_use.pool, cudaMemPoolAttrUsedMemHigh, &zero),
              "cudaMemPoolSetAttribute");
}

namespace cuda {

cudaStream_t stream() {
  if (in_use.index < 0) start(0);
  return in_use.stream;
}

int attribute(cudaDeviceAttr which) {
  int out = 0;
  if (in_use.index < 0) start(0);
  check(cudaDeviceGetAttribute(&out, which, in_use.index), "cudaDeviceGetAttribute");
  return out;
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(fmt::format("CUDA: {}: {}", what, cudaGetErrorString(error)));
}

void expect_here(const Tensor& x, DType dtype) {
  require(x.device() == Device::cuda, "Tensor: lies on {}, asked for on cuda",
          device_name(x.device()));
  require(x.dtype() == dtype, "Tensor: dtype is {}, asked for as {}", dtype_name(x.dtype()),
          dtype_name(dtype));
}

std::shared_ptr<void> allocate(size_t bytes) {
  void* out = nullptr;
  const cudaStream_t queue = stream();
  const cudaError_t error = cudaMallocAsync(&out, std::max<size_t>(bytes, 16), queue);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    throw_error(ErrorKind::memory, "the GPU has no {} bytes left; its tensors hold {}: {}", bytes,
                pool_bytes(cudaMemPoolAttrUsedMemCurrent), cudaGetErrorString(error));
  }
  return {out, [queue](void* p) { (void)cudaFreeAsync(p, queue); }};
}

void copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream()), "cudaMemcpy");
  const auto is_here = [](const void* p) {
    cudaPointerAttributes a{};
    check(cudaPointerGetAttributes(&a, p), "cudaPointerGetAttributes");
    return a.type == cudaMemoryTypeDevice;
  };
  // Host memory, which is pageable, has been read when the call returns; it has not been written.
  if (!is_here(to) && is_here(from)) check(cudaStreamSynchronize(stream()), "cudaMemcpy");
}

}  // namespace cuda

}  // namespace halftone
