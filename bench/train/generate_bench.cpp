// Text sampled from a teacher of SmolLM2-135M's shape: sequences of 256 tokens, all at once.
#include "bench/bench.h"
#include "bench/models.h"
#include "halftone/train/generate_data.h"

namespace halftone {
namespace {

void generate(benchmark::State& state) {
  const int64_t batch = state.range(0), length = state.range(1);
  Decoder model = bench::random_teacher(bench::smollm2_135m(), DType::f32);
  GeneratorVocabulary vocabulary;
  vocabulary.first_tokens = {1, 2, 3};
  vocabulary.end_token = -1;  // none ends early
  GenerateSettings settings;
  settings.top_k = 50;
  std::vector<std::vector<int32_t>> out;
  for (auto _ : state) out = generate_sequences(model, vocabulary, settings, length, 0, batch);
  for (const auto& sequence : out)
    if (static_cast<int64_t>(sequence.size()) != length) state.SkipWithError("a short sequence");
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(batch * length),
                                                  benchmark::Counter::kIsIterationInvariantRate);
  bench::set_peak_memory(state);
}

BENCHMARK(generate)
    ->ArgNames({"batch", "tokens"})
    ->Args({32, 256})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  return halftone::bench::run(argc, argv);
}
