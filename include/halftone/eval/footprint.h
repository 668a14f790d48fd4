// How many bits a model takes, counted three ways (methods 0.6).
#pragma once

#include <cstdint>

#include "halftone/nn/decoder.h"

namespace halftone {

struct Footprint {
  int64_t parameters = 0;            // all, of the architecture (W, not the method's extras)
  int64_t quantised_parameters = 0;  // weights of the quantised linears
  double paper_bits = 16;            // by the method's own formula
  double linear_bits = 16;           // every stored bit of the quantised linears, a weight
  double file_bits = 0;              // 8 x file bytes / parameters
};

// OneBit, over all its linears (O x I): paper (O I + 16 (O + I)) / (O I + O + I), stored 1 bit a
// weight with rows padded to bytes + 16 (O + I). A post-training method: see count_bits. A dense
// model: 16 bits, what its F16 file stores.
Footprint footprint(Decoder& model, int64_t file_bytes);

}  // namespace halftone
