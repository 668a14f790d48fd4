#include "halftone/eval/footprint.h"

namespace halftone {

Footprint footprint(Decoder& model, int64_t file_bytes) {
  Footprint out;
  int64_t extras = 0;
  double paper_bits = 0, paper_numbers = 0, stored_bits = 0;
  model.visit([&](Param& param) { out.parameters += param.value.numel(); });
  for (Block& block : model.blocks)
    for (const auto* linear : block.linears()) {
      if (const auto* low = dynamic_cast<LowBitLinear*>(linear->get())) {
        const LowBitCount count = count_bits(low->code);
        out.quantised_parameters += count.weights;
        paper_bits += count.paper_bits * static_cast<double>(count.weights);
        paper_numbers += static_cast<double>(count.weights);
        stored_bits += static_cast<double>(count.stored_bits);
        continue;
      }
      const auto* onebit = dynamic_cast<OneBitLinear*>(linear->get());
      if (!onebit) continue;
      const int64_t o = onebit->latent.value.dim(0), i = onebit->latent.value.dim(1);
      out.quantised_parameters += o * i;
      extras += o + i;
      paper_bits += static_cast<double>(o * i + 16 * (o + i));
      paper_numbers += static_cast<double>(o * i + o + i);
      stored_bits += static_cast<double>(o * ((i + 7) / 8 * 8) + 16 * (o + i));
    }
  out.parameters -= extras;
  if (out.quantised_parameters) {
    out.paper_bits = paper_bits / paper_numbers;
    out.linear_bits = stored_bits / static_cast<double>(out.quantised_parameters);
  }
  out.file_bits = 8.0 * static_cast<double>(file_bytes) / static_cast<double>(out.parameters);
  return out;
}

}  // namespace halftone
