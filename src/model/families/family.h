// A family of models: what its files say, and what it is made of. One file a family; the table is
// in families.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "halftone/model/config.h"
#include "halftone/nn/block_spec.h"
#include "model/config_fields.h"
#include "model/config_gguf_parts.h"

namespace halftone {

struct Family {
  const char* model_type;    // config.json: "llama"
  const char* architecture;  // config.json: "LlamaForCausalLM"
  const char* gguf;          // general.architecture; nullptr: no GGUF of it is read
  // Keys of a config.json that read_hf reads beside those that every family has (check_keys).
  std::vector<std::string_view> keys;

  // Fill the configuration, whose architecture is set, from a file.
  void (*read_hf)(const ConfigFields& in, ModelConfig& config);
  void (*read_gguf)(const GgufFile& file, const GgufKeys& keys, ModelConfig& config);
  // The keys of the architecture alone; those that every family has are there.
  void (*write_hf)(const ModelConfig& config, nlohmann::ordered_json& out);
  DecoderSpec (*spec)(const ModelConfig& config);
  // Keys of a GGUF that read_gguf reads beside those that every family has.
  std::vector<std::string_view> gguf_keys = {};
  bool needs_bos = false;  // in front of each window of text, as it was trained
  // Sets the architecture of a GGUF and puts its keys; nullptr: llama.cpp has no such architecture.
  void (*write_gguf)(const ModelConfig& config, GgufConfig& out) = nullptr;
};

extern const Family kLlama, kMistral, kQwen2, kQwen3, kOpt, kGemma3;

std::span<const Family* const> families();
const Family& family_of(const ModelConfig& config);  // by its architecture

}  // namespace halftone
