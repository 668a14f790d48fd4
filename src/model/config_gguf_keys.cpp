// Which keys of a GGUF's architecture are read, which may hold anything, and which must hold one
// value. The names are those of llama.cpp (llama-arch.cpp).
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "config_checks.h"
#include "config_gguf_parts.h"
#include "halftone/base/error.h"

namespace halftone {
namespace {

const std::set<std::string, std::less<>> kRead = {
    // Sizes.
    "vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length",
    "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.value_length", "attention.layer_norm_rms_epsilon", "attention.sliding_window",
    // Rotary settings.
    "rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type",
    "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.attn_factor",
    "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"};

const std::set<std::string, std::less<>> kHarmless = {
    "tensor_data_layout",            // where the file comes from
    "rope.scaling.finetuned",        // how it was trained
    "pooling_type",                  // of the hidden states, which are not asked for
    "decoder_start_token_id",        // of encoder-decoders
    "attention.layer_norm_epsilon",  // of norms that are not root mean squares
    "attention.group_norm_epsilon"};

// Off at 0, which is also what a writer puts that writes every key.
const char* const kSwitchedOff[] = {
    // Experts and other layers than these.
    "expert_count", "expert_used_count", "expert_shared_count", "expert_feed_forward_length",
    "expert_shared_feed_forward_length", "expert_chunk_feed_forward_length", "expert_group_count",
    "expert_group_used_count", "expert_group_scale", "experts_per_group", "expert_weights_scale",
    "expert_weights_norm", "expert_gating_func", "leading_dense_block_count", "moe_every_n_layers",
    "moe_latent_size", "interleave_moe_layer_step", "nextn_predict_layers", "n_deepstack_layers",
    "decoder_block_count", "use_parallel_residual", "swin_norm", "rescale_every_n_layers",
    "time_mix_extra_dim", "time_decay_extra_dim", "token_shift_count", "full_attention_interval",
    "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank", "ssm.group_count",
    "ssm.dt_b_c_rms", "wkv.head_size",
    // Attention, positions and head.
    "attn_logit_softcapping", "router_logit_softcapping", "final_logit_softcapping",
    "attention.max_alibi_bias", "attention.clamp_kqv", "attention.group_norm_groups",
    "attention.q_lora_rank", "attention.kv_lora_rank", "attention.relative_buckets_count",
    "attention.shared_kv_layers", "attention.temperature_length", "attention.temperature_scale",
    "rope.scaling.yarn_log_multiplier", "rope.scaling.alpha"};

// Factors: 0 stands for "none", as 1 does.
const char* const kOne[] = {"logit_scale", "residual_scale", "embedding_scale",
                            "attention.output_scale", "rope.scaling.yarn_attn_factor"};

// Keys of parts that the architectures lack, each with the values that leave its part out.
std::map<std::string, std::vector<double>, std::less<>> neutral_values(const ModelConfig& config) {
  std::map<std::string, std::vector<double>, std::less<>> out;
  for (const char* key : kSwitchedOff) out[key] = {0};
  for (const char* key : kOne) out[key] = {1, 0};
  out["attention.scale"] = {1 / std::sqrt(static_cast<double>(config.head_dim)), 0};
  out["attention.causal"] = {1};
  return out;
}

// To the precision of f32.
bool is_one_of(const std::vector<double>& neutral, std::optional<double> found) {
  return found && std::any_of(neutral.begin(), neutral.end(), [&](double value) {
           return std::abs(*found - value) <= 1e-6 * std::abs(value);
         });
}

}  // namespace

std::vector<std::string> GgufKeys::all() const {
  std::vector<std::string> out;
  for (const std::string& key : metadata_.keys())
    if (key.starts_with(prefix_)) out.push_back(key.substr(prefix_.size()));
  return out;
}

int64_t GgufKeys::whole(const std::string& key, int64_t low, int64_t high) const {
  const int64_t value = metadata_.get_int(prefix_ + key);
  if (value < low || value > high)
    fail(key, fmt::format("a whole number from {} to {}", low, high));
  return value;
}

int64_t GgufKeys::whole_of_layers(const std::string& key, int64_t low, int64_t high,
                                  int64_t layers) const {
  const std::string type = metadata_.type_text(prefix_ + key);
  if (!type.ends_with(']')) return whole(key, low, high);
  const std::string expected = fmt::format("a number, or {} equal ones, for the layers", layers);
  if (static_cast<int64_t>(metadata_.array_size(prefix_ + key)) != layers) fail(key, expected);
  const std::vector<int64_t> values = metadata_.get_ints(prefix_ + key);
  if (std::count(values.begin(), values.end(), values[0]) != layers)
    throw_error(ErrorKind::format, "{}: {}{} is [{}], expected the same for every layer", where(),
                prefix_, key, printable(fmt::format("{}", fmt::join(values, ", "))));
  if (values[0] < low || values[0] > high)
    fail(key, fmt::format("whole numbers from {} to {}", low, high));
  return values[0];
}

double GgufKeys::real(const std::string& key, double low, double high) const {
  const double value = metadata_.get_float(prefix_ + key);
  if (!(value >= low && value <= high)) fail(key, fmt::format("a number from {} to {}", low, high));
  const float single = static_cast<float>(value);
  if (static_cast<double>(single) != value) return value;
  return std::strtod(fmt::format("{}", single).c_str(), nullptr);
}

std::optional<double> GgufKeys::number(const std::string& key) const {
  const std::string type = metadata_.type_text(prefix_ + key);
  if (type == "bool") return metadata_.get_bool(prefix_ + key);
  if (type == "f32" || type == "f64") return metadata_.get_float(prefix_ + key);
  if (type == "string" || type.ends_with(']')) return {};
  return static_cast<double>(metadata_.get_int(prefix_ + key));
}

std::string GgufKeys::found(const std::string& key) const {
  const std::string type = metadata_.type_text(prefix_ + key);
  if (type == "string") return fmt::format("'{}'", printable(text(key)));
  if (const auto value = number(key)) return fmt::format("{}", *value);
  return type;
}

void GgufKeys::fail(const std::string& key, const std::string& expected) const {
  throw_error(ErrorKind::format, "{}: {}{} is {}, expected {}", where(), prefix_, printable(key),
              found(key), expected);
}

void GgufKeys::fail_unknown(const std::string& key) const {
  throw_error(ErrorKind::format, "{}: {}{} is {}, {}", where(), prefix_, printable(key), found(key),
              kUnknownKey);
}

void check_gguf_keys(const GgufKeys& keys, const ModelConfig& config,
                     const std::vector<std::string_view>& of_family) {
  const auto neutral = neutral_values(config);
  for (const std::string& key : keys.all()) {
    if (std::ranges::find(of_family, key) != of_family.end()) continue;
    const auto at = neutral.find(key);
    if (at != neutral.end() && !is_one_of(at->second, keys.number(key)))
      keys.fail(key, fmt::format("{}", fmt::join(at->second, " or ")));
    if (at == neutral.end() && !kRead.contains(key) && !kHarmless.contains(key))
      keys.fail_unknown(key);
  }
}

}  // namespace halftone
