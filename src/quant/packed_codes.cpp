#include "halftone/quant/packed_codes.h"

namespace halftone {

int64_t packed_bytes(int64_t count, int bits) {
  return (count * bits + 7) / 8;
}

Tensor pack_codes(const std::vector<uint8_t>& codes, int bits) {
  require(bits >= 1 && bits <= 8, "pack_codes: {} bits", bits);
  Tensor out = Tensor::zeros({packed_bytes(static_cast<int64_t>(codes.size()), bits)}, DType::u8);
  uint8_t* bytes = out.data<uint8_t>();
  int64_t at = 0;
  for (const uint8_t code : codes) {
    require(code >> bits == 0, "pack_codes: {} in {} bits", code, bits);
    const int shifted = code << (at % 8);
    bytes[at / 8] |= static_cast<uint8_t>(shifted);
    if (at % 8 + bits > 8) bytes[at / 8 + 1] |= static_cast<uint8_t>(shifted >> 8);
    at += bits;
  }
  return out;
}

std::vector<uint8_t> unpack_codes(const Tensor& packed, int64_t count, int bits) {
  require(packed.numel() == packed_bytes(count, bits), "unpack_codes: {} bytes for {} x {} bits",
          packed.numel(), count, bits);
  const uint8_t* bytes = packed.data<uint8_t>();
  std::vector<uint8_t> codes(static_cast<size_t>(count));
  const int mask = (1 << bits) - 1;
  int64_t at = 0;
  for (uint8_t& code : codes) {
    int window = bytes[at / 8];
    if (at % 8 + bits > 8) window |= bytes[at / 8 + 1] << 8;
    code = static_cast<uint8_t>((window >> (at % 8)) & mask);
    at += bits;
  }
  return codes;
}

}  // namespace halftone
