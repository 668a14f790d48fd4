// The parts of reading a configuration from GGUF metadata, and of writing it there.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "halftone/io/gguf.h"
#include "halftone/io/gguf_writer.h"
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

// What a GGUF says of a configuration.
struct GgufConfig {
  std::string architecture;               // general.architecture; prefix of the keys
  std::vector<GgufKey> keys;              // by their whole names, without general.architecture
  std::map<std::string, Tensor> factors;  // tensors of rotary scaling, F32

  // "block_count" is "llama.block_count".
  void put(const std::string& key, GgufValue value) {
    keys.push_back({architecture + "." + key, std::move(value)});
  }
  void whole(const std::string& key, int64_t value) { put(key, static_cast<uint32_t>(value)); }
  void real(const std::string& key, double value) { put(key, static_cast<float>(value)); }
};

// read_gguf_config gives the same configuration back, but for what a GGUF has no field for: a
// Mistral without a window is a Llama there, of end tokens the first is kept. Throws Error(recipe)
// naming what llama.cpp's architecture does not compute.
GgufConfig gguf_config(const ModelConfig& config);

// rope.* and the tensors that go with it.
void write_gguf_rope(const ModelConfig& config, GgufConfig& out);

// "<model_type>: a GGUF has no <what>".
[[noreturn]] void throw_no_gguf(const ModelConfig& config, const std::string& what);

}  // namespace halftone
