// Which keys of a config.json are read, which may hold anything, and which must hold one value.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "config_hf_parts.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

// By every family.
const std::set<std::string, std::less<>> kRead = {"architectures",
                                                  "model_type",
                                                  "hidden_size",
                                                  "num_hidden_layers",
                                                  "num_attention_heads",
                                                  "vocab_size",
                                                  "max_position_embeddings",
                                                  "tie_word_embeddings",
                                                  "bos_token_id",
                                                  "eos_token_id",
                                                  "pad_token_id",
                                                  "quantization_config"};

const std::set<std::string, std::less<>> kHarmless = {
    // Where the file comes from and what it is for.
    "_name_or_path", "name_or_path", "model_name", "transformers_version", "_commit_hash",
    "commit_hash", "_original_object_hash", "auto_map", "custom_pipelines", "is_llama_config",
    "_from_model_config", "license", "language", "library_name", "revision", "finetuning_task",
    "task_specific_params", "problem_type", "id2label", "label2id", "num_labels", "_num_labels",
    "classifier_dropout", "tokenizer_class", "tokenizer_model_max_length", "tokenizer_padding_side",
    "padding_side", "model_max_length", "max_sequence_length", "max_seq_length", "max_seq_len",
    "seq_length", "seq_len", "sequence_length", "n_positions", "n_ctx", "context_length",
    "original_vocab_size", "prefix", "unk_token_id", "sep_token_id", "cls_token_id",
    "mask_token_id", "eot_token_id", "decoder_start_token_id", "keys_to_ignore_at_inference",
    // How it is stored and run: the same numbers by other means.
    "torch_dtype", "dtype", "use_cache", "cache_implementation", "cache_config", "is_decoder",
    "attn_implementation", "experts_implementation", "_experts_implementation",
    "_experts_implementation_internal", "use_flash_attn", "use_flash_attention",
    "use_flash_attention_2", "flash_attention", "flash_attn", "use_sdpa",
    "use_memory_efficient_attention", "use_liger_kernel", "use_bfloat16", "torchscript",
    "return_dict", "use_return_dict", "output_attentions", "output_hidden_states",
    "output_router_logits", "tie_last_hidden_states", "chunk_size_feed_forward", "pretraining_tp",
    "tensor_parallel_degree", "tp_plan", "_tp_plan", "base_model_tp_plan", "base_model_pp_plan",
    "base_model_ep_plan", "base_model_fsdp_plan", "ep_size", "pp_size", "tp_size", "world_size",
    "tf_legacy_loss", "xla_device", "init_device", "_pre_quantization_dtype", "_diffusers_version",
    "compile_config", "continuous_batching_config", "disable_compile", "low_memory",
    "max_cache_len",
    // How it was trained: there is no dropout here, and no weight is drawn anew.
    "initializer_range", "initializer_factor", "init_std", "attention_dropout", "hidden_dropout",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout_prob", "attn_pdrop",
    "resid_pdrop", "embd_pdrop", "embedding_dropout", "residual_dropout", "resid_dropout",
    "activation_dropout", "mlp_dropout", "ffn_dropout", "dropout", "layerdrop",
    "gradient_checkpointing", "use_gradient_checkpointing", "neftune_noise_alpha",
    "router_aux_loss_coef", "router_jitter_noise", "aux_loss_alpha", "seq_aux", "loss_type",
    // How text is generated: settings that older versions kept here.
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "max_time", "do_sample",
    "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k",
    "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff", "repetition_penalty",
    "encoder_repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "force_words_ids", "sequence_bias",
    "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens",
    "forced_decoder_ids", "renormalize_logits", "constraints", "remove_invalid_values",
    "exponential_decay_length_penalty", "num_return_sequences", "output_scores", "output_logits",
    "return_dict_in_generate", "return_legacy_cache", "penalty_alpha", "guidance_scale",
    "watermarking_config", "stop_strings", "token_healing", "dola_layers", "is_assistant",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold",
    "assistant_lookbehind", "assistant_early_exit", "assistant_ensemble_weight",
    "target_lookbehind", "prompt_lookup_num_tokens", "max_matching_ngram_size",
    "prefill_chunk_size", "use_mtp", "speculation_type", "generation_config", "chat_format"};

const char* const kHarmlessPrefixes[] = {"_attn_implementation", "_flash_attn", "unsloth_",
                                         "transformers.js"};

// Off at false and at 0.
const char* const kSwitchedOff[] = {
    // Positions.
    "rope_interleaved", "rope_interleave", "use_mrope", "use_dynamic_ntk", "alibi", "use_alibi",
    // Attention.
    "use_logn_attn", "use_bidirectional_attention", "bidirectional", "add_cross_attention",
    "cross_attention_hidden_size", "is_encoder_decoder", "tie_encoder_decoder", "qk_norm",
    "use_qk_norm", "qk_layernorm", "use_qk_layernorm", "qk_layer_norm", "attn_logit_softcapping",
    "attn_logit_softcap", "attention_logit_softcapping", "clip_qkv", "attention_chunk_size",
    "attn_temperature_tuning", "attention_sinks", "use_attention_sinks", "attn_output_gate",
    "attention_output_gate", "num_kv_shared_layers", "q_lora_rank", "kv_lora_rank", "use_mla",
    // Embeddings, blocks and head.
    "shared_input_output_embedding", "use_stable_embedding", "scale_embedding", "scale_embeddings",
    "normalize_embedding", "normalize_embeddings", "parallel_attn", "parallel_residual",
    "use_parallel_residual", "use_parallel_block", "use_sandwich_norm", "use_post_norm",
    "apply_residual_connection_post_layernorm", "final_logit_softcapping", "final_logit_softcap",
    "logits_soft_cap", "num_nextn_predict_layers",
    // Experts.
    "num_experts", "num_local_experts", "num_experts_per_tok", "n_routed_experts",
    "n_shared_experts",
    // Biases.
    "use_bias", "bias", "lm_head_bias", "add_bias_linear", "attention_out_bias", "o_bias"};

const char* const kOne[] = {
    // Factors.
    "logit_scale", "logits_scale", "logits_scaling", "embedding_multiplier", "embedding_scale",
    "residual_multiplier", "residual_scale", "lm_head_multiplier", "key_multiplier",
    "attention_in_multiplier", "attention_out_multiplier", "scale_emb",
    // Shares of a head.
    "rotary_pct", "rope_pct"};

// Keys of parts that the architectures lack, each with the value that leaves its part out.
std::map<std::string, Json, std::less<>> neutral_values(const ModelConfig& config) {
  std::map<std::string, Json, std::less<>> out;
  for (const char* key : kSwitchedOff) out[key] = false;
  for (const char* key : kOne) out[key] = 1;
  const double scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
  for (const char* key : {"attention_multiplier", "softmax_scale"}) out[key] = scale;
  for (const char* key : {"query_pre_attn_scalar", "rotary_dim"}) out[key] = config.head_dim;
  for (const char* key : {"is_causal", "causal"}) out[key] = true;
  for (const char* key : {"hidden_activation", "activation_function"}) out[key] = "silu";
  out["position_embedding_type"] = "rope";
  out["pruned_heads"] = Json::object();
  out["num_key_value_groups"] = config.num_attention_heads / config.num_key_value_heads;
  for (const char* key : {"qkv_bias", "add_qkv_bias", "use_qkv_bias", "attention_qkv_bias"})
    out[key] = config.attention_bias;
  // Where a family does not read them, it decides.
  out["attention_bias"] = config.attention_bias;
  out["mlp_bias"] = config.mlp_bias;
  return out;
}

bool is_harmless(const std::string& key) {
  for (const char* prefix : kHarmlessPrefixes)
    if (key.starts_with(prefix)) return true;
  return kHarmless.contains(key);
}

}  // namespace

bool is_neutral(const Json& found, const Json& neutral) {
  if (found.is_number() && neutral.is_number())
    return std::abs(found.get<double>() - neutral.get<double>()) <=
           1e-6 * std::abs(neutral.get<double>());
  return found == neutral || (neutral == false && found == 0);
}

void check_keys(const ConfigFields& in, const ModelConfig& config,
                const std::vector<std::string_view>& of_family) {
  const auto neutral = neutral_values(config);
  for (const auto& [key, value] : in.json().items()) {
    if (value.is_null() || std::ranges::find(of_family, key) != of_family.end()) continue;
    const auto at = neutral.find(key);
    if (at != neutral.end() && !is_neutral(value, at->second)) in.fail(key, at->second.dump());
    if (at == neutral.end() && !kRead.contains(key) && !is_harmless(key)) in.fail_unknown(key);
  }
}

}  // namespace halftone
