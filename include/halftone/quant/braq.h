// Binary residual approximation (BiLLM, arXiv 2402.04291; methods 3) of one row's group: the
// elements of a row that share scales, gathered into one vector x.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace halftone {

// A difference this small beside the row's other numbers counts as none: weights that come from a
// quantised file lie on few levels, exact ties are common, and rounding must not decide them.
inline constexpr double kTie = 1e-12;

// x ~ mu + sum_k alpha_k b_k, b_k = +-1, k < order.
struct BinaryRow {
  int order = 1;
  std::array<double, 2> alpha{};
  double mu = 0;
  std::array<std::vector<double>, 2> b;  // signs

  double value(int64_t j) const {
    return order == 1 ? mu + alpha[0] * b[0][j] : mu + alpha[0] * b[0][j] + alpha[1] * b[1][j];
  }
};

// Repeats `order` times: mu = mean(r), alpha = mean |r - mu|, b = sgn(r - mu), r -= mu + alpha b.
// The means are merged into one. An empty x gives zeros. sgn(0) = +1, also for |r - mu| below
// kTie rms(r).
void braq(std::span<const double> x, int order, BinaryRow& out);

double squared_error(std::span<const double> x, const BinaryRow& row);

}  // namespace halftone
