// Peak memory of one distillation step as its sequence grows, SmolLM2-135M's shape: bytes a token
// between 512 and 1,024 and between 1,024 and 2,048. Equal where memory is linear in T: no term of
// T x T or T x V. What tensors held at a time; every length has its own trainer and peak.
#include "bench/bench.h"
#include "bench/models.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

double peak_bytes_of_step(Decoder& teacher, Decoder& student, int64_t length) {
  const std::vector<int32_t> ids(static_cast<size_t>(2 * length), 1);
  const TokenSequences sequences(ids, length);
  Batches batches(sequences, 1, 0);
  Trainer trainer(student, &teacher, batches, {}, {.per_device_train_batch_size = 1}, 1000);
  reset_peak_allocated_bytes();
  require(!trainer.step().skipped, "memory_bench: the loss is not finite");
  return static_cast<double>(peak_allocated_bytes());
}

void step_memory(benchmark::State& state) {
  const ModelConfig config = bench::smollm2_135m();
  Decoder teacher = bench::random_teacher(config), student = bench::random_student(config);
  double first = 0, second = 0, third = 0;
  for (auto _ : state) {
    first = peak_bytes_of_step(teacher, student, 512);
    second = peak_bytes_of_step(teacher, student, 1024);
    third = peak_bytes_of_step(teacher, student, 2048);
  }
  const double low = (second - first) / 512, high = (third - second) / 1024;
  state.counters["MB_at_512"] = first / 1e6;
  state.counters["MB_at_1024"] = second / 1e6;
  state.counters["MB_at_2048"] = third / 1e6;
  state.counters["bytes_a_token_512_1024"] = low;
  state.counters["bytes_a_token_1024_2048"] = high;
  state.counters["growth"] = high / low;
}

BENCHMARK(step_memory)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  return halftone::bench::run(argc, argv);
}
