#include "halftone/quant/rtn.h"

#include "halftone/base/threads.h"
#include "uniform_matrix.h"

namespace halftone {

LowBitMatrix rtn(const Tensor& w, const PtqSettings& settings) {
  const int64_t n = w.dim(0), m = w.dim(1);
  UniformMatrix out(n, m, settings);
  const Tensor wide = w.to(DType::f64);
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t g = 0; g < out.groups; ++g) {
        const int64_t first = g * out.width, last = std::min(m, first + out.width);
        const double* row = wide.data<double>() + i * m;
        const Grid grid = fit_grid({row + first, row + last}, settings);
        out.set_grid(i, g, grid);
        for (int64_t j = first; j < last; ++j)
          out.codes[i * m + j] = static_cast<uint8_t>(grid.code(row[j]));
      }
  });
  return out.pack();
}

}  // namespace halftone
