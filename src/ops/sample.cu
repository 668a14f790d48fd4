// A draw among the largest logits on the GPU: a block a row. They are ranked, and one thread draws.
#include "halftone/ops/sample.h"

#include "largest.cuh"

namespace halftone {

namespace cpu {
void sample_tokens(Tensor& logits, const SampleOptions& options,
                   const std::vector<SampleDraw>& draws, std::vector<int32_t>& ids);
}

namespace cuda {
namespace {

constexpr int kThreads = kLargestThreads, kEach = 8, kMostKept = 1024;

struct Draw {
  double temperature, uniform;
  int32_t wanted;
};

__global__ void __launch_bounds__(kThreads)
    draw_tokens(int64_t v, float* logits, int64_t known_size, const uint8_t* known, int kept,
                const Draw* draws, int32_t* ids) {
  __shared__ float values[kMostKept], sorted[kMostKept];
  __shared__ int32_t places[kMostKept], sorted_places[kMostKept];
  __shared__ int taken;
  const Draw draw = draws[blockIdx.x];
  if (!draw.wanted) return;
  float* x = logits + int64_t{blockIdx.x} * v;
  for (int64_t j = threadIdx.x; j < v && known_size > 0; j += kThreads)
    if (j >= known_size || !known[j]) x[j] = -INFINITY;
  if (threadIdx.x == 0) taken = 0;
  __syncthreads();
  const int k = draw.temperature > 0 ? kept : 1;
  const Threshold least = kth_largest(v, x, k);
  int equals = 0;  // of the threshold, taken so far
  for (int64_t first = 0; first < v; first += kThreads * kEach) {
    const int64_t begin = first + int64_t{threadIdx.x} * kEach;
    int mine = 0;
    for (int64_t j = begin; j < begin + kEach && j < v; ++j) {
      const uint32_t key = key_of(x[j]);
      mine += key == least.key;
      if (key <= least.key) continue;
      const int at = atomicAdd(&taken, 1);  // in any order: they are ranked below
      values[at] = x[j];
      places[at] = static_cast<int32_t>(j);
    }
    const Before before = count_before(mine);
    int number = equals + before.mine;
    for (int64_t j = begin; j < begin + kEach && j < v; ++j) {
      if (key_of(x[j]) != least.key) continue;
      if (least.above + number < k) {
        values[least.above + number] = x[j];
        places[least.above + number] = static_cast<int32_t>(j);
      }
      ++number;
    }
    equals += before.total;
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < k; i += kThreads) {
    int rank = 0;
    for (int j = 0; j < k; ++j)
      rank += values[j] > values[i] || (values[j] == values[i] && places[j] < places[i]);
    sorted[rank] = values[i];
    sorted_places[rank] = places[i];
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  int last = k - 1;
  while (last > 0 && sorted[last] == -INFINITY) --last;
  double sum = 0;
  const auto weight = [&](int i) {
    return draw.temperature > 0
               ? exp((static_cast<double>(sorted[i]) - sorted[0]) / draw.temperature)
               : 1.0;
  };
  for (int i = 0; i <= last; ++i) sum += weight(i);
  double at = draw.uniform * sum;
  int chosen = 0;
  for (; chosen < last; ++chosen)
    if ((at -= weight(chosen)) < 0) break;
  ids[blockIdx.x] = sorted_places[chosen];
}

}  // namespace

void sample_tokens(Tensor& logits, const SampleOptions& options,
                   const std::vector<SampleDraw>& draws, std::vector<int32_t>& ids) {
  const int64_t n = logits.dim(0), v = logits.dim(1);
  const int64_t kept = options.top_k > 0 ? std::min(options.top_k, v) : v;
  if (kept > kMostKept) {  // the whole vocabulary in order: the CPU's work
    Tensor here = logits.to(Device::cpu);
    return cpu::sample_tokens(here, options, draws, ids);
  }
  if (n == 0) return;
  std::vector<Draw> wanted;
  for (const SampleDraw& d : draws) wanted.push_back({d.temperature, d.uniform, d.wanted});
  const auto upload = [](const void* from, size_t bytes) {
    Tensor out = Tensor::uninitialized({static_cast<int64_t>(bytes)}, DType::u8, Device::cuda);
    check(cudaMemcpyAsync(out.raw(), from, bytes, cudaMemcpyHostToDevice, stream()), "sample");
    return out;
  };
  const Tensor rows = upload(wanted.data(), wanted.size() * sizeof(Draw)),
               known = upload(options.known.data(), options.known.size());
  Tensor out = Tensor::of({n}, ids).to(Device::cuda);
  draw_tokens<<<static_cast<unsigned>(n), kThreads, 0, stream()>>>(
      v, numbers<float>(logits), static_cast<int64_t>(options.known.size()),
      numbers<uint8_t>(known), static_cast<int>(kept), static_cast<const Draw*>(rows.raw()),
      numbers<int32_t>(out));
  check_launch("sample");
  const Tensor chosen = out.to(Device::cpu);
  std::copy_n(chosen.data<int32_t>(), n, ids.begin());
}

}  // namespace cuda

}  // namespace halftone
