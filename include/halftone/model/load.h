// A model from anything that names one.
#pragma once

#include <string>
#include <vector>

#include "halftone/io/checkpoint_file.h"
#include "halftone/model/build.h"
#include "halftone/model/import.h"

namespace halftone {

struct LoadedModel {
  ModelConfig config;
  Decoder decoder;
  std::string path;
  std::string home;                // holds what the model is beside its weights (companions.h)
  std::string sha256;              // of the model's file or files
  int64_t file_bytes = 0;          // of the model's file or files
  std::vector<std::string> notes;  // what a user should know: damaged files passed over, rounding
};

// MODEL: a Hugging Face directory, a .gguf, a packed file, a run directory (its model.h5, or its
// newest whole checkpoint while there is none), or a checkpoint of either kind. Throws
// Error(format).
LoadedModel load_model(const std::string& path, const ImportOptions& options = {});

// The configuration of the same model and where its companions are, its numbers unread.
struct ModelOutline {
  ModelConfig config;
  std::string home;
  bool dense = true;          // false: its linears are quantised already
  bool stored_as_f16 = true;  // its matrices are F16, or of a quantised type, which stands for F16
};
ModelOutline read_outline(const std::string& path);

// A final model as a checkpoint file's content: packed weights, and what rebuilds the decoder.
CheckpointContent model_content(Decoder& decoder, const ModelConfig& config);

// The meta entries that rebuild a decoder: config, and linear_forms, a JSON object.
void add_model_meta(CheckpointContent& content, Decoder& decoder, const ModelConfig& config);

// The meta entry linear_forms. Throws Error(format), naming `source`.
LinearForms parse_linear_forms(const std::string& text, const std::string& source);

// The decoder of a checkpoint's model/ tensors and meta.
Decoder decoder_of(const CheckpointContent& content, const ModelConfig& config);

}  // namespace halftone
