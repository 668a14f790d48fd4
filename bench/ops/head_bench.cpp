// The fused head and its losses against logits that exist for all tokens, with a teacher: forward
// and backward, SmolLM2-135M's head, 2,048 tokens. Goal: a sixth of the memory, no slower.
// The two run in turns; the bench's own time is that of the fused one. Memory is what tensors held
// at a time beyond the operands, their gradients included. The first chunk is the program's.
#include "bench/bench.h"
#include "halftone/ops/head_loss.h"
#include "halftone/ops/linear.h"

namespace halftone {
namespace {

using bench::random_tensor;

struct Head {
  Tensor x, weight;
  HeadTeacher teacher;
};

struct Result {
  double loss = 0, seconds = 0, bytes = 0;
  Tensor dx, dweight;
};

Var materialised(const Var& x, const Var& weight, const HeadTeacher& teacher) {
  Tape reading(Tape::Mode::no_grad);
  const Tensor wanted =
      linear(reading.constant(teacher.hidden), reading.constant(teacher.weight)).value();
  return kl_divergence(linear(x, weight), wanted);
}

template <class Loss>
Result run(const Head& head, const Loss& loss_of) {
  Result out;
  reset_peak_allocated_bytes();
  const size_t before = allocated_bytes();
  out.seconds = bench::seconds_of([&] {
    Tape tape;
    const Var x = tape.variable(head.x), weight = tape.variable(head.weight);
    const Var loss = loss_of(x, weight, head.teacher);
    tape.backward(loss);
    out.loss = loss.value().item();
    out.dx = x.grad().tensor;
    out.dweight = weight.grad().tensor;
  });
  out.bytes = static_cast<double>(peak_allocated_bytes() - before);
  return out;
}

bool agree(const Result& a, const Result& b) {
  return std::abs(a.loss - b.loss) < 1e-5 * std::abs(b.loss) &&
         bench::relative_difference(a.dx, b.dx) < 1e-5 &&
         bench::relative_difference(a.dweight, b.dweight) < 1e-5;
}

void head_and_divergence(benchmark::State& state) {
  const int64_t t = state.range(0), v = state.range(1), c = state.range(2);
  const Head head{random_tensor({t, c}, 1),
                  random_tensor({v, c}, 2, 0.02),
                  {random_tensor({t, c}, 3), random_tensor({v, c}, 4, 0.02).to(DType::f16), {}}};
  const auto fused = [&](const Var& x, const Var& weight, const HeadTeacher& teacher) {
    return head_loss(x, weight, &teacher, nullptr, {.chunk_tokens = state.range(3)}).loss;
  };
  if (!agree(run(head, fused), run(head, materialised)))
    return state.SkipWithError("the two differ");
  double seconds = 0, whole_seconds = 0, bytes = 0, whole_bytes = 0;
  for (auto _ : state) {
    const Result one = run(head, fused), whole = run(head, materialised);
    state.SetIterationTime(one.seconds);
    seconds += one.seconds;
    whole_seconds += whole.seconds;
    bytes = one.bytes;
    whole_bytes = whole.bytes;
  }
  const double runs = static_cast<double>(state.iterations());
  state.counters["FLOP/s"] = runs * 8 * static_cast<double>(t * v * c) / seconds;
  state.counters["materialised_ms"] = 1e3 * whole_seconds / runs;
  state.counters["time_ratio"] = seconds / whole_seconds;
  state.counters["fused_MB"] = bytes / 1e6;
  state.counters["materialised_MB"] = whole_bytes / 1e6;
  state.counters["memory_ratio"] = bytes / whole_bytes;
}

BENCHMARK(head_and_divergence)
    ->ArgNames({"T", "V", "C", "chunk"})
    ->Args({2048, 49152, 576, head_chunk_tokens(49152)})
    ->Args({2048, 49152, 576, 256})
    ->Args({2048, 49152, 576, 128})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  return halftone::bench::run(argc, argv);
}
