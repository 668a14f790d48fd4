// The largest logits of a row, and a draw among them.
#include "halftone/ops/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "halftone/base/threads.h"
#include "row_math.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(sample_tokens, Tensor& logits, const SampleOptions& options,
          const std::vector<SampleDraw>& draws, std::vector<int32_t>& ids)

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void forbid_unknown(int64_t v, float* logits, const std::vector<char>& known) {
  for (int64_t id = 0; id < v && !known.empty(); ++id)
    if (id >= static_cast<int64_t>(known.size()) || !known[id]) logits[id] = kNever;
}

// The `kept` largest, largest first.
std::vector<int32_t> largest(int64_t v, const float* logits, int64_t kept) {
  std::vector<int32_t> order(static_cast<size_t>(kept));
  std::iota(order.begin(), order.end(), 0);
  const auto larger = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::make_heap(order.begin(), order.end(), larger);  // the smallest in front
  for (int32_t id = static_cast<int32_t>(kept); id < v; ++id) {
    if (logits[id] <= logits[order.front()]) continue;
    std::pop_heap(order.begin(), order.end(), larger);
    order.back() = id;
    std::push_heap(order.begin(), order.end(), larger);
  }
  std::sort(order.begin(), order.end(), larger);
  return order;
}

// The first of the largest; 0 where none is a number above kNever.
int32_t first_largest(int64_t v, const float* logits) {
  constexpr int64_t kBlock = 512;
  float most = kNever;
  int64_t block = 0;
  simd([&]() HT_INLINE {
    for (int64_t i = 0; i < v; i += kBlock) {
      const float largest = row_max(std::min(kBlock, v - i), logits + i);
      if (largest > most) {
        most = largest;
        block = i;
      }
    }
  });
  const float* found = std::find(logits + block, logits + v, most);
  return found == logits + v ? 0 : static_cast<int32_t>(found - logits);
}

int32_t sample(int64_t v, const float* logits, int64_t top_k, const SampleDraw& draw) {
  if (draw.temperature <= 0) return first_largest(v, logits);
  std::vector<int32_t> order = largest(v, logits, top_k > 0 ? std::min(top_k, v) : v);
  while (order.size() > 1 && logits[order.back()] == kNever) order.pop_back();
  std::vector<double> weights;
  double sum = 0;
  for (int32_t id : order)
    sum += weights.emplace_back(
        std::exp((static_cast<double>(logits[id]) - logits[order[0]]) / draw.temperature));
  double at = draw.uniform * sum;
  for (size_t i = 0; i < order.size(); ++i)
    if ((at -= weights[i]) < 0) return order[i];
  return order.back();
}

}  // namespace

void cpu::sample_tokens(Tensor& logits, const SampleOptions& options,
                        const std::vector<SampleDraw>& draws, std::vector<int32_t>& ids) {
  const int64_t v = logits.dim(1);
  float* rows = logits.data<float>();
  parallel_for(logits.dim(0), 1, [&](int64_t i, int64_t) {
    if (!draws[i].wanted) return;
    forbid_unknown(v, rows + i * v, options.known);
    ids[i] = sample(v, rows + i * v, options.top_k, draws[i]);
  });
}

std::vector<int32_t> sample_tokens(Tensor& logits, const SampleOptions& options,
                                   const std::vector<SampleDraw>& draws) {
  require(logits.rank() == 2 && logits.dim(0) == static_cast<int64_t>(draws.size()) &&
              logits.dim(1) > 0,
          "sample_tokens: logits {}, {} draws", shape_text(logits.shape()), draws.size());
  std::vector<int32_t> ids(draws.size(), -1);
  HT_RUN(sample_tokens, logits.device(), logits, options, draws, ids);
  return ids;
}

}  // namespace halftone
