// Decoders from weights, and back.
#pragma once

#include <map>
#include <string>

#include "halftone/nn/decoder.h"

namespace halftone {

using Weights = std::map<std::string, Tensor>;
// The form of each linear that is not of full precision, by its name (LinearLike::form).
using LinearForms = std::map<std::string, std::string>;

// Weights under HF names, as they are (storage is shared). Throws Error(format) naming the tensor
// that is missing or has another shape or dtype than expected.
Decoder build_decoder(const DecoderSpec& spec, const Weights& weights,
                      const LinearForms& forms = {});

// Own F32 copies of everything, for training.
Weights trainable_copy(const Weights& weights);

// Normal with deviation 0.02, norm gains 1 with their offset, biases 0: the usual start of a Llama.
Weights random_weights(const DecoderSpec& spec, uint64_t seed);

// Every parameter under its name, sharing storage.
Weights weights_of(Decoder& decoder);

// The same without those of the blocks' linears.
Weights weights_beside_linears(Decoder& decoder);

// The linear that is built of what `linear` stores: as a final model has it.
std::unique_ptr<LinearLike> stored_linear(const LinearLike& linear, const Slot& slot);

// As stored for use: linears as they say (LinearLike::stored), embedding and head in F16 (a matrix
// with numbers beyond F16 in F32), norms in F32. Throws Error(numerical), naming the tensor, for a
// scale beyond F16.
Weights packed_weights(Decoder& decoder);

LinearForms linear_forms(Decoder& decoder);

}  // namespace halftone
