// A model as a directory in Hugging Face's layout: dense weights under its names, config.json, and
// the companions.
#pragma once

#include <string>

#include "halftone/io/atomic_file.h"
#include "halftone/model/companions.h"
#include "halftone/model/load.h"

namespace halftone {

enum class ExportDtype {
  automatic,  // F16; a tensor with numbers beyond F16 in BF16 where that holds them, else in F32
  f16,
  bf16,
  f32,
};

struct ExportSummary {
  int64_t tensors = 0;
  int64_t beyond_f16 = 0;  // of them kept wider, automatic
};

// A OneBit linear becomes h sign(W) g. Throws Error(recipe), before anything is written, where a
// layer normalisation stands behind it, which no dense weight can hold; Error(numerical), naming
// the tensor, for numbers that `dtype` does not hold.
ExportSummary export_hf(LoadedModel& model, const Companions& companions, ExportDtype dtype,
                        const std::string& directory, const WrittenCheck& check = {});

}  // namespace halftone
