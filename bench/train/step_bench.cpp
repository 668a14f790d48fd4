// One whole optimiser step: teacher forward, student forward and backward, losses, clipping, AdamW.
// Useful operations are 8 a weight and token with a teacher, 6 without (attention not counted).
#include "bench/bench.h"
#include "bench/models.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

void step(benchmark::State& state, const ModelConfig& config, bool distil) {
  set_threads(static_cast<int>(state.range(2)));
  const int64_t batch = state.range(0), length = state.range(1);
  Decoder teacher = bench::random_teacher(config), student = bench::random_student(config);
  const std::vector<int32_t> ids = bench::random_ids(8 * batch * length, config.vocab_size);
  const TokenSequences sequences(ids, length);
  Batches batches(sequences, batch, 0);
  Trainer trainer(student, distil ? &teacher : nullptr, batches, {},
                  {.per_device_train_batch_size = batch}, 1000);
  release_kept_memory();
  trainer.step();
  StepReport report;
  for (auto _ : state) report = trainer.step();
  if (report.skipped) state.SkipWithError("the loss is not finite");
  const double tokens = static_cast<double>(batch * length);
  bench::set_rate(state, (distil ? 8.0 : 6.0) * tokens *
                             static_cast<double>(bench::multiplied_weights(config)));
  state.counters["tokens/s"] =
      benchmark::Counter(tokens, benchmark::Counter::kIsIterationInvariantRate);
  bench::set_peak_memory(state);
  set_threads(0);
}

void names(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "T", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(step, tiny_distil, bench::tiny(), true)
    ->Apply(names)
    ->Args({8, 256, 2})
    ->Args({8, 256, 1});
BENCHMARK_CAPTURE(step, tiny_labels, bench::tiny(), false)->Apply(names)->Args({8, 256, 2});
BENCHMARK_CAPTURE(step, quickstart_distil, bench::quickstart(), true)
    ->Apply(names)
    ->Args({8, 256, 2})
    ->Args({8, 256, 1});
BENCHMARK_CAPTURE(step, quickstart_labels, bench::quickstart(), false)
    ->Apply(names)
    ->Args({8, 256, 2})
    ->Args({8, 256, 1});
BENCHMARK_CAPTURE(step, smol_distil, bench::smollm2_135m(), true)
    ->Apply(names)
    ->Args({1, 512, 2})
    ->Args({1, 512, 1})
    ->Args({4, 256, 2})
    ->Args({1, 2048, 2});
BENCHMARK_CAPTURE(step, smol_labels, bench::smollm2_135m(), false)->Apply(names)->Args({1, 512, 2});

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  return halftone::bench::run(argc, argv);
}
