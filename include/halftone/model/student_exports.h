// What a OneBit student can be exported as, from its settings and the sizes of its model alone.
#pragma once

#include <string>
#include <vector>

#include "halftone/io/gguf_quants.h"
#include "halftone/model/config.h"
#include "halftone/nn/student_settings.h"

namespace halftone {

struct ExportVerdict {
  std::string format;  // hf, gguf, onebit, packed, compressed-tensors
  bool possible;
  std::string detail;  // what it holds, or why it is impossible; may be empty
};

std::vector<ExportVerdict> student_exports(const ModelConfig& config,
                                           const StudentSettings& student);

// The smallest type of a GGUF that holds c S exactly for rows of `width` signs with a scale for
// each `group` neighbours: no block is wider than a row or lies in two groups. nullptr: there is
// none.
const GgmlType* gguf_sign_type(int64_t width, int64_t group);

}  // namespace halftone
