// Decoders from weights, and back.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "halftone/model/config.h"
#include "halftone/nn/decoder.h"

namespace halftone {

using Weights = std::map<std::string, Tensor>;

// Weights under HF names, as they are (storage is shared). A linear's parts decide its kind:
//   <module>.weight                                  dense
//   <module>.weight + .in_scale + .out_scale         OneBit, latent weights
//   <module>.sign   + .in_scale + .out_scale         OneBit, packed signs (widened to +-1)
//   <module>.<part> of a LowBitMatrix                a post-training method, in `layout`
// Throws Error(format) naming the tensor that is missing or has another shape than expected.
Decoder build_decoder(const ModelConfig& config, const Weights& weights,
                      const OneBitOptions& options = {},
                      const std::optional<LowBitLayout>& layout = {});

// Own F32 copies of everything, for training.
Weights trainable_copy(const Weights& weights);

// Normal with deviation 0.02, norm gains 1, biases 0: the usual start of a Llama.
Weights random_weights(const ModelConfig& config, uint64_t seed);

// Every parameter under its name, sharing storage.
Weights weights_of(Decoder& decoder);

// As stored for use: OneBit linears as packed signs, those of post-training methods as their parts,
// scales and 2-D weights in F16 (a matrix with numbers beyond F16 in F32), norms in F32. Throws
// Error(numerical), naming the tensor, for a scale beyond F16.
Weights packed_weights(Decoder& decoder);

}  // namespace halftone
