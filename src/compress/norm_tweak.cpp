// Norm tweaking: a block's norms follow its float outputs.
#include "halftone/compress/norm_tweak.h"

#include <algorithm>

#include "halftone/ops/adamw.h"
#include "halftone/ops/channel_distance.h"
#include "halftone/ops/losses.h"

namespace halftone {
namespace {

struct Adam {
  explicit Adam(Param& norm)
      : param(norm),
        m(Tensor::zeros(norm.value.shape(), DType::f64)),
        v(Tensor::zeros(norm.value.shape(), DType::f64)) {}

  void step(int64_t t, double rate) {
    adam_update(param.grad.tensor, t, rate, param.value, m, v);
    param.grad.clear();
  }

  Param& param;
  Tensor m, v;
};

}  // namespace

NormTweakReport tweak_norms(Decoder& model, size_t index, const Tensor& inputs,
                            const Tensor& targets, int64_t sequences,
                            const NormTweakSettings& settings) {
  require(sequences >= 2, "tweak_norms: {} sequences, one to train on and one to judge by",
          sequences);
  const int64_t length = inputs.dim(0) / sequences;
  const int64_t held_out = std::max<int64_t>(1, sequences / 8), trained = sequences - held_out;
  const auto loss_of = [&](Tape& tape, int64_t s) {
    const Var out =
        model.block(tape, index, tape.constant(inputs.rows(s * length, (s + 1) * length)), 1);
    const Tensor target = targets.rows(s * length, (s + 1) * length);
    return settings.loss == TweakLoss::dist ? channel_distance(out, target) : mse(out, target);
  };
  const auto judge = [&] {
    double sum = 0;
    for (int64_t s = trained; s < sequences; ++s) {
      Tape tape(Tape::Mode::no_grad);
      sum += loss_of(tape, s).value().item();
    }
    return sum / static_cast<double>(held_out);
  };

  std::vector<Adam> norms;
  std::vector<Tensor> before;
  for (auto& [role, norm] : model.blocks[index].norms)
    norm.visit([&](Param& param) {
      param.grad.clear();
      norms.emplace_back(param);
      before.push_back(param.value.clone());
    });
  const double rate = settings.learning_rate * (1 + settings.scale * static_cast<double>(index) /
                                                        static_cast<double>(model.blocks.size()));
  NormTweakReport report{.before = judge()};
  if (norms.empty()) {  // norms without parameters
    report.after = report.before;
    return report;
  }
  int64_t step = 0;
  for (int64_t pass = 0; pass < settings.iterations; ++pass)
    for (int64_t s = 0; s < trained; ++s) {
      Tape tape;
      tape.backward(loss_of(tape, s));
      ++step;
      for (Adam& norm : norms) norm.step(step, rate);
    }
  report.after = judge();
  report.kept = report.after < report.before;
  for (size_t i = 0; i < norms.size() && !report.kept; ++i) norms[i].param.value = before[i];
  return report;
}

}  // namespace halftone
