// Hessians of linears: their sums, their damping and inverse, and what they weigh an error by.
#include "halftone/quant/hessian.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/exchange.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/gram.h"
#include "halftone/tensor/linalg.h"

namespace halftone {
namespace {

constexpr int kTag = 1;

// The numbers of an upper triangle that are a rank's.
struct Piece {
  int64_t begin = 0, end = 0;

  int64_t numbers() const { return end - begin; }
  Tensor of(const Tensor& triangle) const { return triangle.rows(begin, end); }
};

Piece piece_of(const Ranks& ranks, int rank, int64_t columns) {
  const int64_t all = columns * (columns + 1) / 2;
  return {all * rank / ranks.size(), all * (rank + 1) / ranks.size()};
}

// Of a symmetric matrix only the panels of columns down to the diagonal are made.
constexpr int64_t kPanel = 256;

template <class Body>
void for_each_panel(int64_t m, const Body& body) {
  for (int64_t first = 0; first < m; first += kPanel) body(first, std::min(m, first + kPanel));
}

}  // namespace

HessianSum::HessianSum(int64_t columns, Device device, Ranks ranks)
    : columns_(columns),
      device_(device),
      ranks_(std::move(ranks)),
      sum_(ranks_.alone()
               ? Tensor::zeros({columns, columns}, DType::f64, device)
               : Tensor::zeros({piece_of(ranks_, ranks_.rank(), columns).numbers()}, DType::f64)) {}

void HessianSum::add(const Tensor& x, int64_t sequences) {
  require(x.rank() == 2 && x.dim(1) == columns_ && sequences > 0,
          "HessianSum: shape {}, [*, {}] expected", shape_text(x.shape()), columns_);
  sequences_ += sequences;
  if (ranks_.alone()) return add_gram(x, sum_);
  for (int64_t row = 0; row < x.dim(0); row += kGramRows) {
    Tensor product = Tensor::zeros({columns_, columns_}, DType::f64, device_);
    add_gram(x.rows(row, std::min(row + kGramRows, x.dim(0))), product);
    products_.push_back(upper_triangle(product.to(Device::cpu)).to(DType::f32));
  }
}

void HessianSum::share() {
  if (ranks_.alone()) return;
  const Piece own = piece_of(ranks_, ranks_.rank(), columns_);
  const auto counts = ranks_.gather(std::vector<double>{static_cast<double>(products_.size())});
  std::vector<Parcel> sent, received;
  std::vector<Tensor> ordered;  // this rank's numbers of all products
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    if (rank == ranks_.rank()) {
      for (const Tensor& product : products_) ordered.push_back(own.of(product));
      continue;
    }
    for (const Tensor& product : products_)
      sent.push_back({rank, piece_of(ranks_, rank, columns_).of(product)});
    for (double i = 0; i < counts[static_cast<size_t>(rank)][0]; ++i) {
      ordered.push_back(Tensor::uninitialized({own.numbers()}, DType::f32));
      received.push_back({rank, ordered.back()});
    }
  }
  Exchange(ranks_, Device::cpu).start(kTag, std::move(sent), std::move(received))->wait();
  for (const Tensor& product : ordered) halftone::add(sum_, product.to(DType::f64), sum_);
  products_.clear();
}

Tensor HessianSum::hessian(bool wanted) const {
  double sequences = 0;
  std::vector<Parcel> sent, received;
  const auto told =
      ranks_.gather(std::vector<double>{static_cast<double>(sequences_), wanted ? 1.0 : 0.0});
  for (const auto& of_rank : told) sequences += of_rank[0];
  const double k = sequences > 0 ? 2 / sequences : 0;
  if (ranks_.alone()) return symmetric(sum_.to(Device::cpu), k);
  require(products_.empty(), "HessianSum: {} products are not shared", products_.size());
  Tensor triangle;
  if (wanted) triangle = Tensor::uninitialized({columns_ * (columns_ + 1) / 2}, DType::f64);
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    const Piece piece = piece_of(ranks_, rank, columns_);
    if (rank == ranks_.rank()) {
      if (wanted) piece.of(triangle).copy_from(sum_);
      continue;
    }
    if (told[static_cast<size_t>(rank)][1] != 0) sent.push_back({rank, sum_});
    if (wanted) received.push_back({rank, piece.of(triangle)});
  }
  Exchange(ranks_, Device::cpu).start(kTag, std::move(sent), std::move(received))->wait();
  return wanted ? symmetric(from_upper_triangle(triangle, columns_), k) : Tensor();
}

PreparedHessian prepare_hessian(const Tensor& hessian, double damp_percent) {
  const int64_t m = hessian.dim(0);
  PreparedHessian out{.upper = {}, .dead = std::vector<bool>(static_cast<size_t>(m), false)};
  Tensor damped = hessian.clone();
  double* h = damped.data<double>();
  double mean = 0;
  for (int64_t j = 0; j < m; ++j) {
    if (h[j * m + j] == 0) {
      out.dead[j] = true;
      h[j * m + j] = 1;
    }
    mean += h[j * m + j] / static_cast<double>(m);
  }
  double added = 0;
  for (double lambda = damp_percent * mean;; lambda = lambda > 0 ? 10 * lambda : 1e-4 * mean) {
    for (int64_t j = 0; j < m; ++j) h[j * m + j] += lambda - added;
    added = lambda;
    try {
      out.upper = inverse_cholesky_upper(damped);
      return out;
    } catch (const Error&) {
      if (lambda >= 1000 * damp_percent * mean && lambda > 0.1 * mean) throw;
    }
  }
}

double hessian_energy(const Tensor& d, const Tensor& hessian) {
  const int64_t n = d.dim(0), m = d.dim(1);
  require(hessian.dim(0) == m && hessian.dim(1) == m, "hessian_energy: {} by {}",
          shape_text(d.shape()), shape_text(hessian.shape()));
  Tensor product = Tensor::uninitialized({n, std::min(m, kPanel)}, DType::f64);
  const double *a = d.data<double>(), *h = hessian.data<double>();
  double energy = 0, *p = product.data<double>();
  // The panel's columns times those before it count twice, times its own once.
  for_each_panel(m, [&](int64_t first, int64_t last) {
    const int64_t width = last - first;
    gemm(Transpose::no, Transpose::no, n, width, width, 1.0, a + first, m, h + first * m + first, m,
         0.0, p, width);
    gemm(Transpose::no, Transpose::no, n, width, first, 2.0, a, m, h + first, m, 1.0, p, width);
    energy += parallel_sum(n, 64, [&](int64_t begin, int64_t end) {
      double sum = 0;
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < width; ++j) sum += a[i * m + first + j] * p[i * width + j];
      return sum;
    });
  });
  return energy;
}

}  // namespace halftone
