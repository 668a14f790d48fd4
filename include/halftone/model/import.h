// A model from a directory in Hugging Face's layout or from a GGUF file, checked as a whole.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "halftone/model/config.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

struct ImportedModel {
  std::string path;
  ModelConfig config;
  // By Hugging Face's names, exactly expected_weights(config). Matrices in the dtype asked for,
  // norms and biases in f32. A tensor that the file holds in that dtype is a view of its map.
  std::map<std::string, Tensor> weights;
  // SHA-256 of the file that holds the weights; of several shards, that of the lines
  // "<digest>  <file name>\n" in order of name.
  std::string sha256;
  int64_t parameters = 0;
};

// `path` is a directory with config.json and model.safetensors (or model.safetensors.index.json and
// its shards), or a GGUF file. `linear_dtype` is f32 or f16.
//
// Matrices of a GGUF file in a quantised type are dequantised and rounded to fp16, whichever dtype
// is asked for: that fp16 model is the one the file stands for. What a file stores in F32, F16 or
// BF16 is converted to linear_dtype alone. The row order of q and k is always Hugging Face's.
//
// Throws Error(format) naming file and tensor when one is missing, unknown, of another shape than
// the configuration gives, not finite (with the count), or when tie_word_embeddings contradicts an
// lm_head.weight that differs from the embedding.
ImportedModel import_model(const std::string& path, DType linear_dtype);

// The configuration of the same model alone; tensors are neither read nor checked.
ModelConfig read_model_config(const std::string& path);

}  // namespace halftone
