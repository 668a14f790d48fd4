// A teacher of a few kilobytes that knows bytes alone, made in milliseconds: a run on it takes tens
// of them.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "halftone/io/safetensors.h"
#include "halftone/model/build.h"
#include "halftone/model/spec.h"
#include "halftone/text/bpe.h"

namespace halftone::testing {

inline constexpr int kTinyContext = 16;

// A byte-level BPE without merges, and an end token.
inline std::string tiny_tokenizer_json() {
  nlohmann::ordered_json out{{"version", "1.0"}, {"normalizer", nullptr}};
  out["added_tokens"] = {{{"id", 256},
                          {"content", "<|endoftext|>"},
                          {"single_word", false},
                          {"lstrip", false},
                          {"rstrip", false},
                          {"normalized", false},
                          {"special", true}}};
  out["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  out["post_processor"] = nullptr;
  out["decoder"] = {{"type", "ByteLevel"}};
  out["model"] = {{"type", "BPE"}, {"merges", nlohmann::json::array()}};
  int id = 0;
  for (const std::string& letter : byte_letters()) out["model"]["vocab"][letter] = id++;
  return out.dump();
}

inline constexpr const char* kTinyConfig = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16,
  "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
  "num_key_value_heads": 2, "vocab_size": 257, "max_position_embeddings": 64,
  "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0,
  "tie_word_embeddings": true})";

inline void make_tiny_teacher(const std::string& directory) {
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/config.json") << kTinyConfig;
  std::ofstream(directory + "/tokenizer.json") << tiny_tokenizer_json();
  const ModelConfig config = read_config(directory + "/config.json");
  write_safetensors(directory + "/model.safetensors", random_weights(decoder_spec(config), 7));
}

// Some words of which no two lines are equal.
inline std::string tiny_text(int lines) {
  std::string out;
  for (int i = 0; i < lines; ++i)
    out += "line " + std::to_string(i * i) + " has " + std::to_string(i % 7) + " dots\n";
  return out;
}

}  // namespace halftone::testing
