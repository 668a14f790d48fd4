// The parts of reading a config.json.
#pragma once

#include <string_view>
#include <vector>

#include "config_fields.h"
#include "halftone/model/config.h"

namespace halftone {

// rope_theta, rope_scaling, rope_parameters and what belongs to them; head_dim and
// max_position_embeddings have been read.
void read_rope(const ConfigFields& in, ModelConfig& config);
// One object of rotary settings; rope_theta is `theta` where it has none.
struct Rope {
  double theta;
  RopeScaling scaling;

  bool operator==(const Rope&) const = default;
};
Rope read_rope_object(const ConfigFields& top, const ConfigFields& object,
                      const ModelConfig& config, double theta);
// What read_rope reads, in both spellings, of transformers 4 and 5.
void write_rope(const ModelConfig& config, nlohmann::ordered_json& out);

// Refuses keys that are neither read, by every family or as `of_family` lists them, nor harmless,
// unless they have the value that leaves the part of a model out that they belong to.
void check_keys(const ConfigFields& in, const ModelConfig& config,
                const std::vector<std::string_view>& of_family);

// Whether `found` says the same as `neutral`: numbers to six digits, false for 0.
bool is_neutral(const nlohmann::json& found, const nlohmann::json& neutral);

}  // namespace halftone
