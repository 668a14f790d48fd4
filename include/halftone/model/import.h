// A model from a directory in Hugging Face's layout or from a GGUF file, checked as a whole.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "halftone/model/config.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// The numbers that a file's matrices stand for.
enum class WeightDtype {
  automatic,  // as the file has them, quantised ones of a GGUF file rounded to F16
  f32,        // as the file has them, in F32 memory
  f16,        // rounded to F16
  bf16,       // rounded to BF16
};

struct ImportOptions {
  WeightDtype dtype = WeightDtype::automatic;
  // Every matrix in F32 memory, which a product with one row is faster with. Else F16 memory for
  // those that F16 holds to the last bit, F32 for the others: the numbers are the same.
  bool widen = false;
  // Of a packed file, that every bit is under its seal, for which the file is read once. Else the
  // digest of its lists alone is checked, and a flipped bit of a weight is not found.
  bool check_seal = true;
};

struct ImportedModel {
  std::string path;
  ModelConfig config;
  // By Hugging Face's names, exactly expected_weights(config); a linear that `forms` names has the
  // tensors that linear_of() takes. Matrices and a OneBit layer's scales in F16 or F32, signs in
  // U8, all else in F32. A tensor that the file holds in that dtype is a view of its map.
  std::map<std::string, Tensor> weights;
  std::map<std::string, std::string> forms;  // LinearForms, see build.h
  int64_t changed = 0;  // numbers of the file that rounding to the dtype asked for changed
  int64_t not_f16 = 0;  // matrices that are in F32 because F16 would change their numbers
  // SHA-256 of the file that holds the weights; of several shards, that of the lines
  // "<digest>  <file name>\n" in order of name.
  std::string sha256;
  int64_t parameters = 0;
};

// `path` is a directory with config.json and model.safetensors (or model.safetensors.index.json and
// its shards), or a GGUF file.
//
// Matrices of a GGUF file in a quantised type are dequantised and, but for the dtype f32, rounded
// to fp16: that fp16 model is the one that is compressed. The row order of q and k is always
// Hugging Face's.
//
// Of a directory with a OneBit checkpoint (config.h), each linear of the blocks has
//   .weight        I8 [out, in / 8], pack_signs() in two's complement; or real numbers [out, in],
//                  whose signs are meant
//   .weight_scale  [out], h
//   .input_factor  [in], g
// and is the OneBit layer of these, its numbers unrounded. Tensors under teacher_model. are passed
// over.
//
// Of a directory whose quantization_config is that of export_compressed_tensors.h, each linear of
// the blocks has the tensors named there. It is the layer "onebit row" or "onebit group N" where
// its codes are 1 and 3 and F16 holds its scales, else full precision, scale (code - 2).
//
// Throws Error(format) naming file and tensor when one is missing, unknown, of another shape than
// the configuration gives, not finite (with the count), or when tie_word_embeddings contradicts an
// lm_head.weight that differs from the embedding.
ImportedModel import_model(const std::string& path, const ImportOptions& options = {});

// model.safetensors of a directory, or model.safetensors.index.json. Throws Error(format) where
// there is neither.
std::string hf_weights_file(const std::string& directory);

// A matrix as import_model keeps it; adds to `changed` and `not_f16`.
Tensor keep_matrix(const Tensor& stored, const ImportOptions& options, int64_t& changed,
                   int64_t& not_f16);

// The configuration of the same model, whether its linears are of full precision, and whether every
// matrix is stored as F16 or in a quantised type. The names, shapes and types of the tensors are
// checked as import_model does, their numbers are not read.
struct ImportOutline {
  ModelConfig config;
  bool dense = true;
  bool stored_as_f16 = true;
};
ImportOutline read_import_outline(const std::string& path);

}  // namespace halftone
