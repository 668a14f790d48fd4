// The parts of reading a configuration from GGUF metadata.
#pragma once

#include <string>

#include "halftone/io/gguf.h"
#include "halftone/model/config.h"

namespace halftone {

// The keys of one architecture, named without it: "block_count" is "llama.block_count". Every
// failure throws Error(format) naming file, key, value found and value expected.
class GgufKeys {
 public:
  GgufKeys(const GgufMetadata& metadata, const std::string& architecture)
      : metadata_(metadata), prefix_(architecture + ".") {}

  bool has(const std::string& key) const { return metadata_.has(prefix_ + key); }
  const std::string& where() const { return metadata_.path(); }
  std::string full(const std::string& key) const { return prefix_ + key; }
  std::vector<std::string> all() const;  // sorted
  std::string text(const std::string& key) const { return metadata_.get_string(prefix_ + key); }

  int64_t whole(const std::string& key, int64_t low, int64_t high) const;
  int64_t whole(const std::string& key, int64_t low, int64_t high, int64_t fallback) const {
    return has(key) ? whole(key, low, high) : fallback;
  }
  // A number, or an array of as many equal ones as there are layers.
  int64_t whole_of_layers(const std::string& key, int64_t low, int64_t high, int64_t layers) const;

  // Writers store f32: the shortest decimal of that is the number they were given.
  double real(const std::string& key, double low, double high) const;
  double real(const std::string& key, double low, double high, double fallback) const {
    return has(key) ? real(key, low, high) : fallback;
  }

  // A number of any type, true as 1; none for texts and arrays.
  std::optional<double> number(const std::string& key) const;

  // With what the key holds in front of `expected`.
  [[noreturn]] void fail(const std::string& key, const std::string& expected) const;
  [[noreturn]] void fail_unknown(const std::string& key) const;

 private:
  std::string found(const std::string& key) const;

  const GgufMetadata& metadata_;
  std::string prefix_;
};

// rope.* and the tensors that go with it; head_dim and max_position_embeddings have been read.
void read_gguf_rope(const GgufFile& file, const GgufKeys& keys, ModelConfig& config);

// Refuses keys that are neither read, by every family or as `of_family` lists them, nor harmless,
// unless they have the value that leaves the part
// of a model out that they belong to.
void check_gguf_keys(const GgufKeys& keys, const ModelConfig& config,
                     const std::vector<std::string_view>& of_family);

}  // namespace halftone
