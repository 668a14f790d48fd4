#include "halftone/ops/channel_distance.h"

#include <cmath>
#include <vector>

namespace halftone {
namespace {

struct Statistics {
  std::vector<double> mean, variance;
};

template <class T>
Statistics statistics(const Tensor& x) {
  const int64_t rows = x.dim(0), c = x.dim(1);
  const T* data = x.data<T>();
  Statistics out{std::vector<double>(static_cast<size_t>(c), 0),
                 std::vector<double>(static_cast<size_t>(c), 0)};
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < c; ++j) out.mean[j] += static_cast<double>(data[i * c + j]);
  for (double& mean : out.mean) mean /= static_cast<double>(rows);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < c; ++j) {
      const double d = static_cast<double>(data[i * c + j]) - out.mean[j];
      out.variance[j] += d * d;
    }
  for (double& variance : out.variance) variance /= static_cast<double>(rows - 1);
  return out;
}

double sign(double x) {
  return x > 0 ? 1 : x < 0 ? -1 : 0;
}

}  // namespace

Var channel_distance(const Var& x, const Tensor& t) {
  require(
      x.value().rank() == 2 && x.shape() == t.shape() && x.dtype() == t.dtype() && x.dim(0) >= 2,
      "channel_distance: {} of {} and {} of {}", shape_text(x.shape()), dtype_name(x.dtype()),
      shape_text(t.shape()), dtype_name(t.dtype()));
  return with_real(x.dtype(), "channel_distance", [&]<class T>() {
    const int64_t rows = x.dim(0), c = x.dim(1);
    const Statistics of_x = statistics<T>(x.value()), of_t = statistics<T>(t);
    double sum = 0;
    std::vector<double> mean_sign, variance_sign;
    for (int64_t j = 0; j < c; ++j) {
      const double mean = of_x.mean[j] - of_t.mean[j],
                   variance = of_x.variance[j] - of_t.variance[j];
      sum += std::abs(mean) + std::abs(variance);
      mean_sign.push_back(sign(mean));
      variance_sign.push_back(sign(variance));
    }
    return x.tape().record(
        "channel_distance", {x}, Tensor::scalar(sum / static_cast<double>(c), x.dtype()),
        [x, rows, c, mean = of_x.mean, mean_sign, variance_sign](const Tensor& dy) {
          const double k = dy.item() / static_cast<double>(c);
          Var::Target target = x.grad_target();
          T* dx = target.tensor.data<T>();
          const T* data = x.value().data<T>();
          for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < c; ++j) {
              const double centred = static_cast<double>(data[i * c + j]) - mean[j];
              const double d = k * (mean_sign[j] / static_cast<double>(rows) +
                                    variance_sign[j] * 2 * centred / static_cast<double>(rows - 1));
              T& out = dx[i * c + j];
              out = static_cast<T>((target.beta == 0 ? 0.0 : target.beta * out) + d);
            }
        });
  });
}

}  // namespace halftone
