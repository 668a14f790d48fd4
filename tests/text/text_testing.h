// The small tokenizers of tests/fixtures/tokenizers, and files made from them.
#pragma once

#include <nlohmann/json.hpp>

#include <ctime>
#include <functional>
#include <string>

#include "halftone/text/documents.h"
#include "halftone/text/tokenizer.h"
#include "io/file_builders.h"

namespace halftone::testing {

inline const std::string kTokenizers = HALFTONE_SOURCE_DIR "/tests/fixtures/tokenizers/";

inline nlohmann::json read_json(const std::string& path) {
  return nlohmann::json::parse(read_bytes(path));
}

// What the libraries of the fixtures say of many texts.
inline const nlohmann::json& expected() {
  static const auto json = nlohmann::json::parse(read_text(kTokenizers + "expected.json.gz"));
  return json;
}

inline std::unique_ptr<Tokenizer> load_bytes(const std::string& name, const std::string& bytes) {
  const TemporaryDirectory directory;
  return load_tokenizer(directory.write(name, bytes));
}

// Of the processor, so that a limit holds on a machine that does other work too.
inline double seconds_of(const std::function<void()>& action) {
  const std::clock_t start = std::clock();
  action();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

inline std::string random_bytes(Rng& rng, uint64_t most, bool ascii) {
  std::string out;
  for (uint64_t n = rng.below(most); n > 0; --n)
    out += static_cast<char>(ascii ? 32 + rng.below(96) : rng.below(256));
  return out;
}

}  // namespace halftone::testing
