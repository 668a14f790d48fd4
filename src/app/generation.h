// Text from a model, token by token, with what it cost.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/model/load.h"
#include "halftone/ops/sample.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

struct SamplingOptions {
  int64_t tokens = 64;  // at most so many new ones
  double temperature = 0.8;
  int64_t top_k = 40;
  int64_t seed = 0;
};

struct Generated {
  std::vector<int32_t> ids;
  std::string text;
  int64_t read = 0;  // tokens that were not in the cache and had to be read
  double read_seconds = 0, seconds = 0;
  bool ended = false;  // at an end token, which is not among the ids

  double read_rate() const {
    return read_seconds > 0 ? static_cast<double>(read) / read_seconds : 0;
  }
  double rate() const { return seconds > 0 ? static_cast<double>(ids.size()) / seconds : 0; }
};

// Keys and values of what was read stay: a text that begins as the last one did goes on from there.
class Generator {
 public:
  // The model must outlive it. Room for `capacity` tokens in all.
  Generator(LoadedModel& model, int64_t capacity);
  Generator(LoadedModel& model, std::unique_ptr<Tokenizer> tokenizer, int64_t capacity);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  int64_t capacity() const { return cache_.capacity; }
  // Continues `ids`, which fit beside options.tokens; `show` gets the new text in pieces of whole
  // characters. An interrupt ends it as a token limit does.
  Generated run(const std::vector<int32_t>& ids, const SamplingOptions& options,
                const std::function<void(std::string_view)>& show);

 private:
  Tensor read(const std::vector<int32_t>& ids);  // logits behind the last of them

  LoadedModel& model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  KeyValueCache cache_;
  std::vector<int32_t> cached_;  // what the cache holds
  std::vector<int32_t> ends_;
  std::vector<char> known_;
};

// The length of the longest front of `text` that does not end within a UTF-8 character.
size_t whole_characters(std::string_view text);

}  // namespace halftone
