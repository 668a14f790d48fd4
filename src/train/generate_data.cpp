#include "halftone/train/generate_data.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "halftone/base/threads.h"

namespace halftone {
namespace {

uint64_t stream_of(int64_t sequence) {
  return (static_cast<uint64_t>(RngStream::generate) << 40) + static_cast<uint64_t>(sequence) + 1;
}

// Logits (B x V) of each sequence's last token; `ids` are B times the same number of new tokens.
Tensor next_logits(Decoder& teacher, const std::vector<int32_t>& ids, int64_t batch,
                   KeyValueCache& cache) {
  Tape tape(Tape::Mode::no_grad);
  return teacher.logits(teacher.hidden(tape, ids, batch, &cache).value());
}

}  // namespace

void forbid_unknown(float* logits, int64_t vocabulary, const std::vector<char>& known) {
  for (int64_t id = 0; id < vocabulary && !known.empty(); ++id)
    if (id >= static_cast<int64_t>(known.size()) || !known[id])
      logits[id] = -std::numeric_limits<float>::infinity();
}

GeneratorVocabulary generator_vocabulary(const Tokenizer& tokenizer) {
  GeneratorVocabulary out{.end_token = tokenizer.eos().value_or(-1)};
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    out.known.push_back(tokenizer.known(id));
    if (tokenizer.known(id) && !tokenizer.special(id)) out.first_tokens.push_back(id);
  }
  return out;
}

int32_t sample_token(const float* logits, int64_t vocabulary, int64_t top_k, double temperature,
                     Rng& rng) {
  if (temperature <= 0)
    return static_cast<int32_t>(std::max_element(logits, logits + vocabulary) - logits);
  const int64_t kept = top_k > 0 ? std::min(top_k, vocabulary) : vocabulary;
  std::vector<int32_t> order(kept);
  std::iota(order.begin(), order.end(), 0);
  const auto larger = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::make_heap(order.begin(), order.end(), larger);  // the smallest in front
  for (int32_t id = static_cast<int32_t>(kept); id < vocabulary; ++id) {
    if (logits[id] <= logits[order.front()]) continue;
    std::pop_heap(order.begin(), order.end(), larger);
    order.back() = id;
    std::push_heap(order.begin(), order.end(), larger);
  }
  std::sort(order.begin(), order.end(), larger);
  while (order.size() > 1 && logits[order.back()] == -std::numeric_limits<float>::infinity())
    order.pop_back();
  std::vector<double> weights;
  double sum = 0;
  for (int32_t id : order)
    sum += weights.emplace_back(
        std::exp((static_cast<double>(logits[id]) - logits[order[0]]) / temperature));
  double at = rng.uniform() * sum;
  for (size_t i = 0; i < order.size(); ++i)
    if ((at -= weights[i]) < 0) return order[i];
  return order.back();
}

std::vector<std::vector<int32_t>> generate_sequences(Decoder& teacher,
                                                     const GeneratorVocabulary& vocabulary,
                                                     const GenerateSettings& s, int64_t length,
                                                     int64_t begin, int64_t count) {
  require(!vocabulary.first_tokens.empty() && length > 0 && s.greedy_prefix.size() == 2,
          "generate_sequences: nothing to start from");
  const std::vector<uint64_t> order = permutation(vocabulary.first_tokens.size(), s.seed,
                                                  static_cast<uint64_t>(RngStream::generate));
  std::vector<std::vector<int32_t>> out(count);
  std::vector<Rng> draws;
  std::vector<int32_t> next(count);
  for (int64_t i = 0; i < count; ++i) {
    draws.emplace_back(static_cast<uint64_t>(s.seed), stream_of(begin + i));
    next[i] = vocabulary.first_tokens[order[(begin + i) % order.size()]];
    out[i].push_back(next[i]);
  }
  std::vector<char> ended(count, 0);
  const int64_t span = s.greedy_prefix[1] - s.greedy_prefix[0] + 1;
  KeyValueCache cache = teacher.make_cache(count, length);
  for (int64_t at = 1; at < length && std::count(ended.begin(), ended.end(), 0) > 0; ++at) {
    Tensor logits = next_logits(teacher, next, count, cache);
    const int64_t v = logits.dim(1);
    parallel_for(count, 1, [&](int64_t i, int64_t) {
      if (ended[i]) return;
      const double temperature = at < s.greedy_prefix[0] + (begin + i) % span ? 0.0 : s.temperature;
      float* row = logits.data<float>() + i * v;
      forbid_unknown(row, v, vocabulary.known);
      next[i] = sample_token(row, v, s.top_k, temperature, draws[i]);
      if (next[i] == vocabulary.end_token)
        ended[i] = 1;
      else
        out[i].push_back(next[i]);
    });
  }
  return out;
}

}  // namespace halftone
