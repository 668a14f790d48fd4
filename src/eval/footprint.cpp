#include "halftone/eval/footprint.h"

#include "halftone/model/spec.h"

namespace halftone {

Footprint footprint(Decoder& model, int64_t file_bytes) {
  Footprint out{.parameters = parameter_count(model.spec)};
  LinearBits sum;
  model.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    const LinearBits bits = linear->bits();
    sum.weights += bits.weights;
    sum.paper_bits += bits.paper_bits;
    sum.paper_numbers += bits.paper_numbers;
    sum.stored_bits += bits.stored_bits;
  });
  out.quantised_parameters = sum.weights;
  if (sum.weights > 0) {
    out.paper_bits = sum.paper_bits / sum.paper_numbers;
    out.linear_bits = static_cast<double>(sum.stored_bits) / static_cast<double>(sum.weights);
  }
  out.file_bits = 8.0 * static_cast<double>(file_bytes) / static_cast<double>(out.parameters);
  return out;
}

}  // namespace halftone
