#include "halftone/ops/head_loss.h"

#include <cmath>

#include "halftone/ops/linear.h"
#include "halftone/tensor/memory.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

const std::vector<int32_t> kTargets{3, 0, kIgnoredTarget, 6, 2, 2, 5, 1, kIgnoredTarget, 4};

struct Problem {
  Tensor x = random_tensor({10, 6}, 1), w = random_tensor({7, 6}, 2);
  HeadTeacher teacher{random_tensor({10, 5}, 3), random_tensor({7, 5}, 4)};
};

// The same losses on logits that exist as a whole.
Var composed(const Problem& p, const Var& x, const Var& w, const HeadLossSettings& s) {
  const Var logits = linear(x, w);
  Tape teacher_tape(Tape::Mode::no_grad);
  const Tensor t =
      linear(teacher_tape.constant(p.teacher.hidden), teacher_tape.constant(p.teacher.weight))
          .value();
  return add(scale(kl_divergence(logits, t, s.kl_temperature), s.kl_weight),
             scale(cross_entropy(logits, kTargets), s.label_weight));
}

TEST(HeadLoss, EqualsTheUnchunkedLossAndItsGradientsForEveryChunk) {
  const Problem p;
  for (double label_weight : {0.0, 0.7})
    for (int64_t chunk : {1, 3, 4, 10, 64}) {
      const HeadLossSettings s{.kl_weight = 5,
                               .kl_temperature = 1.5,
                               .label_weight = label_weight,
                               .chunk_tokens = chunk};
      Tape whole, chunked;
      const Var x1 = whole.variable(p.x.clone()), w1 = whole.variable(p.w.clone());
      const Var x2 = chunked.variable(p.x.clone()), w2 = chunked.variable(p.w.clone());
      const Var expected = composed(p, x1, w1, s);
      const HeadLoss got = head_loss(x2, w2, &p.teacher, &kTargets, s);
      EXPECT_NEAR(got.loss.value().item(), expected.value().item(),
                  1e-12 * std::abs(expected.value().item()));
      whole.backward(expected, 0.3);
      chunked.backward(got.loss, 0.3);
      EXPECT_LT(largest_difference(x1.grad().tensor, x2.grad().tensor), 1e-13);
      EXPECT_LT(largest_difference(w1.grad().tensor, w2.grad().tensor), 1e-13);
    }
}

TEST(HeadLoss, LabelsAloneGiveTheCrossEntropy) {
  const Problem p;
  Tape a, b;
  const Var x1 = a.variable(p.x.clone()), w1 = a.variable(p.w.clone());
  const Var x2 = b.variable(p.x.clone()), w2 = b.variable(p.w.clone());
  const Var expected = cross_entropy(linear(x1, w1), kTargets);
  const HeadLoss got =
      head_loss(x2, w2, nullptr, &kTargets, {.kl_weight = 0, .label_weight = 1, .chunk_tokens = 3});
  EXPECT_NEAR(got.labels, expected.value().item(), 1e-13);
  a.backward(expected);
  b.backward(got.loss);
  EXPECT_LT(largest_difference(x1.grad().tensor, x2.grad().tensor), 1e-14);
  EXPECT_LT(largest_difference(w1.grad().tensor, w2.grad().tensor), 1e-14);
}

TEST(HeadLoss, GradientsMatchDifferences) {
  const Problem p;
  const HeadLossSettings s{
      .kl_weight = 5, .kl_temperature = 2, .label_weight = 0.5, .chunk_tokens = 4};
  expect_gradients(
      [&](Tape&, const std::vector<Var>& x) {
        return head_loss(x[0], x[1], &p.teacher, &kTargets, s).loss;
      },
      {p.x, p.w});
}

TEST(HeadLoss, FloatWithAHalfTeacherAgreesWithDouble) {
  Problem p;
  p.teacher.weight = p.teacher.weight.to(DType::f16).to(DType::f64);
  const HeadLossSettings s{.kl_weight = 1, .label_weight = 1};
  Tape wide(Tape::Mode::no_grad), narrow(Tape::Mode::no_grad);
  const HeadTeacher half{p.teacher.hidden.to(DType::f32), p.teacher.weight.to(DType::f16)};
  const HeadLoss a = head_loss(wide.constant(p.x), wide.constant(p.w), &p.teacher, &kTargets, s);
  const HeadLoss b = head_loss(narrow.constant(p.x.to(DType::f32)),
                               narrow.constant(p.w.to(DType::f32)), &half, &kTargets, s);
  EXPECT_NEAR(a.kl, b.kl, 1e-6 * a.kl);
  EXPECT_NEAR(a.labels, b.labels, 1e-6 * a.labels);
}

TEST(HeadLoss, PeakMemoryDoesNotGrowWithTokensTimesVocabulary) {
  const int64_t v = 2000, c = 4, chunk = 16;
  const Tensor w = random_tensor({v, c}, 1, 1, DType::f32);
  for (int64_t n : {64, 1024}) {
    reset_peak_allocated_bytes();
    const Tensor x = random_tensor({n, c}, 2, 1, DType::f32);
    const size_t before = allocated_bytes();
    Tape tape(Tape::Mode::no_grad);
    const HeadTeacher teacher{x, w};
    head_loss(tape.constant(x), tape.constant(w), &teacher, nullptr, {.chunk_tokens = chunk});
    EXPECT_LT(peak_allocated_bytes() - before, 2u * chunk * v * 4 + (1u << 16));
  }
}

TEST(HeadLoss, NanInTheInputReachesTheLoss) {
  Problem p;
  p.x.data<double>()[7] = std::nan("");
  Tape tape(Tape::Mode::no_grad);
  const HeadLoss out =
      head_loss(tape.constant(p.x.to(DType::f32)), tape.constant(p.w.to(DType::f32)), nullptr,
                &kTargets, {.kl_weight = 0, .label_weight = 1});
  EXPECT_TRUE(std::isnan(out.labels));
}

}  // namespace
}  // namespace halftone
