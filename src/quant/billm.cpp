#include "halftone/quant/billm.h"

#include <algorithm>

#include "binary_matrix.h"
#include "halftone/base/threads.h"
#include "halftone/quant/arb_rc.h"
#include "halftone/quant/arb_x.h"
#include "halftone/quant/block_code.h"
#include "halftone/quant/error_feedback.h"
#include "halftone/quant/hessian.h"

namespace halftone {
namespace {

SearchBlock copy_block(const Tensor& current, int64_t first, int64_t last) {
  const int64_t n = current.dim(0), m = current.dim(1), b = last - first;
  SearchBlock out{.rows = n, .width = b, .t = std::vector<double>(static_cast<size_t>(n * b))};
  for (int64_t i = 0; i < n; ++i)
    std::copy_n(current.data<double>() + i * m + first, b, out.t.data() + i * b);
  return out;
}

// S = H_bb / 2 of the undamped H.
std::vector<double> block_gram(const Tensor& hessian, int64_t first, int64_t last) {
  const int64_t m = hessian.dim(0);
  std::vector<double> s;
  for (int64_t i = first; i < last; ++i)
    for (int64_t j = first; j < last; ++j) s.push_back(hessian.data<double>()[i * m + j] / 2);
  return s;
}

// E = D / diag(U_bb), or the exact solution of E U_bb = D, of one row.
void solve_row(double* e, int64_t width, const double* u, int64_t m, BlockCompensation how) {
  for (int64_t j = 0; j < width; ++j) {
    if (how == BlockCompensation::exact)
      for (int64_t k = 0; k < j; ++k) e[j] -= e[k] * u[k * m + j];
    e[j] /= u[j * m + j];
  }
}

// What the later columns are lowered by, times U.
void fill_errors(const FeedbackBlock& feedback, const SearchBlock& block, const BlockCode& code,
                 BlockCompensation how) {
  parallel_for(block.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double* e = feedback.errors + i * block.width;
      for (int64_t j = 0; j < block.width; ++j)
        e[j] = block.t[i * block.width + j] - code.value(i, j);
      solve_row(e, block.width, feedback.upper, feedback.stride, how);
    }
  });
}

}  // namespace

LowBitMatrix billm(const Tensor& w, const Tensor& hessian, Refinement refinement,
                   const PtqSettings& settings) {
  const int64_t m = w.dim(1);
  const int iterations = static_cast<int>(settings.iterations);
  const bool row_column = refinement == Refinement::arb_rc, x = refinement == Refinement::arb_x;
  const PreparedHessian prepared = prepare_hessian(hessian, settings.damp_percent);
  Tensor current = w.to(DType::f64);
  for (int64_t j = 0; j < m; ++j)
    for (int64_t i = 0; prepared.dead[j] && i < w.dim(0); ++i)
      current.data<double>()[i * m + j] = 0;

  BinaryMatrix out(billm_layout(refinement, settings), w.dim(0), m);
  feed_errors(current, prepared, settings.blocksize, [&](const FeedbackBlock& feedback) {
    const int64_t first = feedback.first, last = first + feedback.width;
    const SearchBlock block = copy_block(current, first, last);
    std::vector<double> u_diagonal, s;
    for (int64_t j = 0; j < feedback.width; ++j)
      u_diagonal.push_back(feedback.upper[j * feedback.stride + j]);
    if (x) s = block_gram(hessian, first, last);

    BlockCode code(partition_block(block, u_diagonal, s, settings), settings.cgb, settings.num_p,
                   true, row_column);
    if (row_column)
      arb_rc(code, block.t, iterations);
    else if (x)
      arb_x(code, block.t, s, iterations, settings.x_joint);
    else
      binarise_groups(code, block.t, refinement == Refinement::arb ? iterations : 0);
    out.add(code, first);
    if (settings.block_comp == BlockCompensation::none) return false;
    fill_errors(feedback, block, code, settings.block_comp);
    return true;
  });
  return out.pack();
}

BinaryLayout billm_layout(Refinement refinement, const PtqSettings& settings) {
  return {.blocksize = settings.blocksize,
          .row_column = refinement == Refinement::arb_rc,
          .partitioned = true,
          .cgb = settings.cgb,
          .num_p = settings.num_p};
}

LowBitMatrix xnor(const Tensor& w) {
  const int64_t n = w.dim(0), m = w.dim(1);
  const Tensor wide = w.to(DType::f64);
  SearchBlock block = copy_block(wide, 0, m);
  BlockCode code({.rows = n,
                  .width = m,
                  .salient = std::vector<uint8_t>(static_cast<size_t>(m), 0),
                  .group = std::vector<uint8_t>(block.t.size(), 0)},
                 false, 1, false, false);
  binarise_groups(code, block.t, 0);
  BinaryMatrix out(xnor_layout(), n, m);
  out.add(code, 0);
  return out.pack();
}

BinaryLayout xnor_layout() {
  return {};
}

}  // namespace halftone
