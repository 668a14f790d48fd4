// How far apart the channels' means and variances are.
#include "halftone/ops/channel_distance.h"

#include <cmath>
#include <vector>

#include "tensor/dispatch.h"

namespace halftone {

// `slopes` (3 x C, F64): of each channel the signs of the differences of means and of variances,
// and the mean of x.
HT_CPU_KERNEL(channel_distance_forward, const Tensor& x, const Tensor& t, Tensor& loss,
              Tensor& slopes)
HT_CPU_KERNEL(channel_distance_backward, const Tensor& x, const Tensor& slopes, const Tensor& dy,
              double beta, Tensor& dx)

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

void cpu::channel_distance_forward(const Tensor& x, const Tensor& t, Tensor& loss, Tensor& slopes) {
  with_real(x.dtype(), "channel_distance", [&]<class T>() {
    const int64_t c = x.dim(1);
    const Statistics of_x = statistics<T>(x), of_t = statistics<T>(t);
    double* out = slopes.data<double>();
    double sum = 0;
    for (int64_t j = 0; j < c; ++j) {
      const double mean = of_x.mean[j] - of_t.mean[j],
                   variance = of_x.variance[j] - of_t.variance[j];
      sum += std::abs(mean) + std::abs(variance);
      out[j] = sign(mean);
      out[c + j] = sign(variance);
      out[2 * c + j] = of_x.mean[j];
    }
    *loss.data<T>() = static_cast<T>(sum / static_cast<double>(c));
  });
}

void cpu::channel_distance_backward(const Tensor& x, const Tensor& slopes, const Tensor& dy,
                                    double beta, Tensor& dx) {
  with_real(x.dtype(), "channel_distance", [&]<class T>() {
    const int64_t rows = x.dim(0), c = x.dim(1);
    const double k = dy.item() / static_cast<double>(c);
    const double* slope = slopes.data<double>();
    const T* in = x.data<T>();
    T* out = dx.data<T>();
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < c; ++j) {
        const double centred = static_cast<double>(in[i * c + j]) - slope[2 * c + j];
        const double d = k * (slope[j] / static_cast<double>(rows) +
                              slope[c + j] * 2 * centred / static_cast<double>(rows - 1));
        T& to = out[i * c + j];
        to = static_cast<T>((beta == 0 ? 0.0 : beta * to) + d);
      }
  });
}

Var channel_distance(const Var& x, const Tensor& t) {
  require(
      x.value().rank() == 2 && x.shape() == t.shape() && x.dtype() == t.dtype() && x.dim(0) >= 2,
      "channel_distance: {} of {} and {} of {}", shape_text(x.shape()), dtype_name(x.dtype()),
      shape_text(t.shape()), dtype_name(t.dtype()));
  const Device device = t.device();
  Tensor loss = Tensor::uninitialized({}, x.dtype(), device),
         slopes = Tensor::uninitialized({3, x.dim(1)}, DType::f64, device);
  HT_RUN(channel_distance_forward, device, x.value(), t, loss, slopes);
  return x.tape().record("channel_distance", {x}, loss, [x, slopes](const Tensor& dy) {
    auto [dx, beta] = x.grad_target();
    HT_RUN(channel_distance_backward, dy.device(), x.value(), slopes, dy, beta, dx);
  });
}

}  // namespace halftone
