// A model as one file that Halftone maps (io/packed_file.h): signs in the order of the kernels,
// with configuration and companions inside. Loading it copies no matrix.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/io/atomic_file.h"
#include "halftone/model/companions.h"
#include "halftone/model/load.h"

namespace halftone {

struct PackedExportOptions {
  bool q8_0_embedding = false;  // embedding and head in Q8_0, where rows are of whole blocks of 32
  std::string tokenizer = {};   // text/ready_tokenizer.h; empty: the companions serve
};

struct PackedExportSummary {
  int64_t tensors = 0, bytes = 0;  // bytes of the file
  bool rounded = false;            // embedding or head are in Q8_0
};

// Linears as LinearLike::mapped() gives them, embedding and head in F16 (a matrix with numbers
// beyond F16 in F32) or Q8_0, norms and biases in F32. Throws Error(numerical), naming the tensor,
// for a scale beyond F16.
PackedExportSummary export_packed(LoadedModel& model, const Companions& companions,
                                  const PackedExportOptions& options, const std::string& path,
                                  const WrittenCheck& check = {});

// Throws Error(format), naming the file and what is wrong, also where its seal does not fit. Without
// `check_seal` the content is not held against it (ImportOptions).
LoadedModel load_packed(const std::string& path, bool check_seal = true);
ModelOutline packed_outline(const std::string& path);

}  // namespace halftone
