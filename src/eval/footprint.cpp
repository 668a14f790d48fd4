#include "halftone/eval/footprint.h"

namespace halftone {

Footprint footprint(Decoder& model, int64_t file_bytes) {
  Footprint out;
  LinearBits sum;
  model.visit([&](Param& param) { out.parameters += param.value.numel(); });
  model.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    const LinearBits bits = linear->bits();
    sum.weights += bits.weights;
    sum.extras += bits.extras;
    sum.paper_bits += bits.paper_bits;
    sum.paper_numbers += bits.paper_numbers;
    sum.stored_bits += bits.stored_bits;
  });
  out.parameters -= sum.extras;
  out.quantised_parameters = sum.weights;
  if (sum.weights > 0) {
    out.paper_bits = sum.paper_bits / sum.paper_numbers;
    out.linear_bits = static_cast<double>(sum.stored_bits) / static_cast<double>(sum.weights);
  }
  out.file_bits = 8.0 * static_cast<double>(file_bytes) / static_cast<double>(out.parameters);
  return out;
}

}  // namespace halftone
