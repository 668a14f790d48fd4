// Perplexity over windows of 2,048 tokens, SmolLM2-135M's shape, as `halftone eval` computes it.
#include <cmath>

#include "bench/bench.h"
#include "bench/models.h"
#include "halftone/eval/perplexity.h"

namespace halftone {
namespace {

void evaluate_windows(benchmark::State& state) {
  const ModelConfig config = bench::smollm2_135m();
  Decoder model = bench::random_teacher(config);
  const EvalText text{.tokens = bench::random_ids(2048, config.vocab_size), .window_bos = {}};
  EvalSettings settings;
  settings.context = 2048;
  Evaluation result;
  for (auto _ : state) result = evaluate(model, nullptr, text, settings);
  if (!std::isfinite(result.perplexity)) state.SkipWithError("the perplexity is not finite");
  bench::set_rate(state, 2.0 * 2048 * static_cast<double>(bench::multiplied_weights(config)));
  state.counters["tokens/s"] =
      benchmark::Counter(2048, benchmark::Counter::kIsIterationInvariantRate);
  bench::set_peak_memory(state);
}

BENCHMARK(evaluate_windows)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  return halftone::bench::run(argc, argv);
}
