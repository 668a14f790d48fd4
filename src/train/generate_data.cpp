// Sequences that a teacher writes, a batch of them at a time.
#include "halftone/train/generate_data.h"

#include <algorithm>

#include "halftone/ops/sample.h"

namespace halftone {
namespace {

uint64_t stream_of(int64_t sequence) {
  return (static_cast<uint64_t>(RngStream::generate) << 40) + static_cast<uint64_t>(sequence) + 1;
}

}  // namespace

GeneratorVocabulary generator_vocabulary(const Tokenizer& tokenizer) {
  GeneratorVocabulary out{.end_token = tokenizer.eos().value_or(-1)};
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    out.known.push_back(tokenizer.known(id));
    if (tokenizer.known(id) && !tokenizer.special(id)) out.first_tokens.push_back(id);
  }
  return out;
}

namespace {

// What a sequence begins with before the teacher goes on.
std::vector<int32_t> passage(const GeneratorVocabulary& vocabulary, const GenerateSettings& s,
                             int64_t length, Rng& draws) {
  const std::vector<int32_t>& text = vocabulary.prefixes;
  const auto range = static_cast<uint64_t>(s.prefix_tokens[1] - s.prefix_tokens[0] + 1);
  const int64_t wanted =
      std::min(length, s.prefix_tokens[0] + static_cast<int64_t>(draws.below(range)));
  size_t at = draws.below(text.size());
  while (text[at] == vocabulary.end_token) at = (at + 1) % text.size();
  std::vector<int32_t> out;
  for (; at < text.size() && static_cast<int64_t>(out.size()) < wanted; ++at) {
    if (text[at] == vocabulary.end_token) break;
    out.push_back(text[at]);
  }
  return out;
}

}  // namespace

std::vector<std::vector<int32_t>> generate_sequences(Decoder& teacher,
                                                     const GeneratorVocabulary& vocabulary,
                                                     const GenerateSettings& s, int64_t length,
                                                     int64_t begin, int64_t count) {
  require(!vocabulary.first_tokens.empty() && length > 0 && s.greedy_prefix.size() == 2,
          "generate_sequences: nothing to start from");
  const std::vector<uint64_t> order = permutation(vocabulary.first_tokens.size(), s.seed,
                                                  static_cast<uint64_t>(RngStream::generate));
  const bool prefixed = !vocabulary.prefixes.empty();
  std::vector<std::vector<int32_t>> out(count), openings(count);
  std::vector<Rng> draws;
  std::vector<int32_t> next(count);
  for (int64_t i = 0; i < count; ++i) {
    draws.emplace_back(static_cast<uint64_t>(s.seed), stream_of(begin + i));
    openings[i] = prefixed
                      ? passage(vocabulary, s, length, draws[i])
                      : std::vector{vocabulary.first_tokens[order[(begin + i) % order.size()]]};
    next[i] = openings[i].front();
    out[i].push_back(next[i]);
  }
  const auto opens = [&](int64_t i, int64_t at) {
    return at < static_cast<int64_t>(openings[i].size());
  };
  std::vector<char> ended(count, 0);
  const int64_t span = s.greedy_prefix[1] - s.greedy_prefix[0] + 1;
  KeyValueCache cache = teacher.make_cache(count, length);
  for (int64_t at = 1; at < length && std::count(ended.begin(), ended.end(), 0) > 0; ++at) {
    Tensor logits = teacher.next_logits(next, count, cache);
    std::vector<SampleDraw> rows(count);
    for (int64_t i = 0; i < count; ++i) {
      rows[i].wanted = !ended[i] && !opens(i, at);
      const bool greedy = !prefixed && at < s.greedy_prefix[0] + (begin + i) % span;
      if (!rows[i].wanted || greedy || s.temperature <= 0) continue;
      rows[i].temperature = s.temperature;
      rows[i].uniform = draws[i].uniform();
    }
    const std::vector<int32_t> ids = sample_tokens(logits, {s.top_k, vocabulary.known}, rows);
    for (int64_t i = 0; i < count; ++i) {
      if (ended[i]) continue;
      next[i] = opens(i, at) ? openings[i][static_cast<size_t>(at)] : ids[i];
      if (next[i] == vocabulary.end_token)
        ended[i] = 1;
      else
        out[i].push_back(next[i]);
    }
  }
  return out;
}

}  // namespace halftone
