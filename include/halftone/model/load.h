// A model from anything that names one.
#pragma once

#include <string>
#include <vector>

#include "halftone/io/checkpoint_file.h"
#include "halftone/model/build.h"

namespace halftone {

struct LoadedModel {
  ModelConfig config;
  Decoder decoder;
  std::string path;
  std::string tokenizer_path;  // what load_tokenizer takes
  std::string sha256;          // of the model's file or files
  int64_t file_bytes = 0;      // of the model's file or files
};

// MODEL: a Hugging Face directory, a .gguf, a run directory (its model.h5, or its newest checkpoint
// while there is none), or a .h5 of either kind. Dense 2-D weights of imported models are held in
// `linear_dtype`, F32 or F16. Throws Error(format). A newest checkpoint that is damaged is refused,
// or, where `passed_over` is given, named there, and the one before it taken.
LoadedModel load_model(const std::string& path, DType linear_dtype,
                       std::vector<std::string>* passed_over = nullptr);

// A final model as a checkpoint file's content: packed weights, and what rebuilds the decoder.
CheckpointContent model_content(Decoder& decoder, const ModelConfig& config,
                                const std::string& tokenizer_path);

// The meta entries that rebuild a decoder: config, post_layer_norm, tokenizer.
void add_model_meta(CheckpointContent& content, Decoder& decoder, const ModelConfig& config,
                    const std::string& tokenizer_path);

// The decoder of a checkpoint's model/ tensors and meta.
Decoder decoder_of(const CheckpointContent& content, const ModelConfig& config);

}  // namespace halftone
