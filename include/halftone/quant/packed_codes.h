// Small whole numbers at 1 to 8 bits each, one after another.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// Code k takes bits [k bits, (k + 1) bits) of the stream, lowest bit first; U8, ceil(n bits / 8)
// bytes, unused bits 0. Throws std::invalid_argument for a code that does not fit.
Tensor pack_codes(const std::vector<uint8_t>& codes, int bits);

// The first `count` codes; throws std::invalid_argument where the size does not match.
std::vector<uint8_t> unpack_codes(const Tensor& packed, int64_t count, int bits);

int64_t packed_bytes(int64_t count, int bits);

}  // namespace halftone
