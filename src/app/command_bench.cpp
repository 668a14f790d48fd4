// How fast a model reads a prompt and decodes, beside what this machine's memory allows.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "app/model_argument.h"
#include "app/text_tokens.h"
#include "halftone/base/error.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/ops/sample.h"
#include "halftone/tensor/bandwidth.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

// Of one test, tokens a second.
struct Rates {
  std::vector<double> all;

  double median() const {
    std::vector<double> sorted = all;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
  double spread() const {
    return (*std::ranges::max_element(all) - *std::ranges::min_element(all)) / median();
  }
};

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Rates time_prompt(Decoder& decoder, const BenchOptions& options) {
  const std::vector<int32_t> ids = random_ids(options.prompt, decoder.spec.vocab_size);
  Rates out;
  for (int64_t i = 0; i <= options.repetitions; ++i) {
    KeyValueCache cache = decoder.make_cache(1, options.prompt, DType::f16);
    const double seconds = seconds_of([&] { decoder.next_logits(ids, 1, cache); });
    if (i > 0) out.all.push_back(static_cast<double>(options.prompt) / seconds);  // warm
  }
  return out;
}

// Greedy tokens behind one.
Rates time_decode(Decoder& decoder, const BenchOptions& options) {
  Rates out;
  for (int64_t i = 0; i <= options.repetitions; ++i) {
    KeyValueCache cache = decoder.make_cache(1, options.tokens + 1, DType::f16);
    Tensor logits = decoder.next_logits({0}, 1, cache);
    const double seconds = seconds_of([&] {
      for (int64_t t = 0; t < options.tokens; ++t)
        logits = decoder.next_logits(sample_tokens(logits, {}, {{}}), 1, cache);
    });
    if (i > 0) out.all.push_back(static_cast<double>(options.tokens) / seconds);
  }
  return out;
}

// Bytes that decoding a token reads: every weight once, of the embedding as a head too, and the
// keys and values of `position` tokens.
int64_t decode_bytes(Decoder& decoder, int64_t position) {
  int64_t out = 0;
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) { out += linear->read_bytes(); });
  out += static_cast<int64_t>(decoder.head_param().value.bytes());
  for (const Block& b : decoder.blocks)
    out += 2 * position * b.spec.key_value_heads * b.spec.head_dim *
           static_cast<int64_t>(dtype_bytes(DType::f16));
  return out;
}

}  // namespace

int bench_command(const BenchOptions& options) {
  LoadedModel model = load_model_argument(options.model, {});
  take_inputs(model, options.inputs);
  Decoder& decoder = model.decoder;
  check_context(decoder.spec, std::max(options.prompt, options.tokens + 1), "--prompt or --tokens");
  const double bandwidth = read_bandwidth();
  release_kept_memory();  // what the bandwidth was measured on
  const Rates prompt = time_prompt(decoder, options), decode = time_decode(decoder, options);
  const auto bytes = static_cast<double>(decode_bytes(decoder, options.tokens / 2));
  const double read = bytes * decode.median(), share = read / bandwidth;
  const size_t resident = rss_bytes();
  if (options.json) {
    nlohmann::ordered_json json;
    json["prompt"] = {{"tokens", options.prompt},
                      {"tokens_per_second", prompt.median()},
                      {"spread", prompt.spread()}};
    json["decode"] = {{"tokens", options.tokens},
                      {"tokens_per_second", decode.median()},
                      {"spread", decode.spread()},
                      {"bytes_per_token", bytes},
                      {"bandwidth_share", share}};
    json["read_bandwidth"] = bandwidth;
    json["resident_bytes"] = resident;
    json["activations"] = sign_inputs_name(options.inputs);
    json["machine"] = {{"isa", isa_name(isa())}, {"threads", threads()}, {"blas", blas_name()}};
    json["version"] = HALFTONE_VERSION;
    print("{}\n", json.dump(2));
    return 0;
  }
  print("prompt {:>5}  {:>9.1f} tokens/s  (spread {:.0f} %)\n", options.prompt, prompt.median(),
        100 * prompt.spread());
  print("decode {:>5}  {:>9.1f} tokens/s  (spread {:.0f} %)\n", options.tokens, decode.median(),
        100 * decode.spread());
  print("{:.1f} MB a token: {:.1f} GB/s, {:.2f} of the {:.1f} GB/s that {} threads read\n",
        bytes / 1e6, read / 1e9, share, bandwidth / 1e9, threads());
  print("{:.0f} MB resident, of a model of {:.0f} MB\n", static_cast<double>(resident) / 1e6,
        static_cast<double>(model.file_bytes) / 1e6);
  return 0;
}

}  // namespace halftone
