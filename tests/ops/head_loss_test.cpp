#include "halftone/ops/head_loss.h"

#include <cmath>
#include <tuple>

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
  EXPECT_NEAR(got.labels.item(), expected.value().item(), 1e-13);
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
  EXPECT_NEAR(a.kl.item(), b.kl.item(), 1e-6 * a.kl.item());
  EXPECT_NEAR(a.labels.item(), b.labels.item(), 1e-6 * a.labels.item());
}

TEST(HeadLoss, AChunkHasEightMegabytesOfLogits) {
  EXPECT_EQ(head_chunk_tokens(256), 512);
  EXPECT_EQ(head_chunk_tokens(8192), 256);
  EXPECT_EQ(head_chunk_tokens(49152), 192);
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
  EXPECT_TRUE(std::isnan(out.labels.item()));
}

// The teacher of a problem by its k likeliest ids.
HeadTeacher top_teacher(const Problem& p, int64_t k, double temperature) {
  return {.top = top_log_probs(p.teacher.hidden, p.teacher.weight, k, temperature)};
}

Tensor student_logits(const Problem& p) {
  Tape tape(Tape::Mode::no_grad);
  return linear(tape.constant(p.x), tape.constant(p.w)).value();
}

// tau^2 times the mean KL, by the definition: ids of the teacher's top, and one bucket of the rest.
double bucketed_kl(const Tensor& logits, const TopLogProbs& top, double tau) {
  const int64_t n = logits.dim(0), v = logits.dim(1), k = top.ids.dim(1);
  double kl = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double* x = logits.data<double>() + i * v;
    double all = 0, q_tail = 0, p_tail = 1;
    for (int64_t j = 0; j < v; ++j) all += std::exp(x[j] / tau);
    std::vector<double> outside(x, x + v);
    for (int64_t j = 0; j < k; ++j) {
      const int32_t id = top.ids.data<int32_t>()[i * k + j];
      const double log_p = to_float(top.log_probs.data<half_t>()[i * k + j]);
      kl += std::exp(log_p) * (log_p - std::log(std::exp(x[id] / tau) / all));
      p_tail -= std::exp(log_p);
      outside[id] = -1e300;
    }
    for (double z : outside) q_tail += std::exp(z / tau) / all;
    if (p_tail > 0) kl += p_tail * std::log(p_tail / q_tail);
  }
  return tau * tau * kl / static_cast<double>(n);
}

TEST(HeadLoss, OfATeachersLikeliestIdsEqualsPlainLoopsForEveryChunk) {
  const Problem p;
  for (int64_t k : {1, 3, 6})
    for (int64_t chunk : {1, 3, 64}) {
      const HeadLossSettings s{
          .kl_weight = 5, .kl_temperature = 1.5, .label_weight = 0.7, .chunk_tokens = chunk};
      const HeadTeacher teacher = top_teacher(p, k, s.kl_temperature);
      Tape tape(Tape::Mode::no_grad);
      const HeadLoss got =
          head_loss(tape.constant(p.x), tape.constant(p.w), &teacher, &kTargets, s);
      const double expected = bucketed_kl(student_logits(p), teacher.top, s.kl_temperature);
      EXPECT_NEAR(got.kl.item(), expected, 1e-13 * std::abs(expected)) << k;
      const double labels =
          cross_entropy(tape.constant(student_logits(p)), kTargets).value().item();
      EXPECT_NEAR(got.labels.item(), labels, 1e-13);
      EXPECT_NEAR(got.loss.value().item(), 5 * expected + 0.7 * labels, 1e-12);
    }
}

TEST(HeadLoss, OfATeachersLikeliestIdsHasTheGradientsOfDifferences) {
  const Problem p;
  for (double label_weight : {0.0, 0.5}) {
    const HeadLossSettings s{
        .kl_weight = 5, .kl_temperature = 2, .label_weight = label_weight, .chunk_tokens = 4};
    for (int64_t k : {1, 3, 7}) {
      const HeadTeacher teacher = top_teacher(p, k, s.kl_temperature);
      expect_gradients(
          [&](Tape&, const std::vector<Var>& x) {
            return head_loss(x[0], x[1], &teacher, &kTargets, s).loss;
          },
          {p.x, p.w});
    }
  }
}

// All ids: the full KL from the logits that the stored numbers are, and to the rounding of F16 from
// those that they were.
TEST(HeadLoss, OfAllIdsIsTheFullLossWithItsGradients) {
  const Problem p;
  const HeadLossSettings s{.kl_weight = 1, .kl_temperature = 1.5, .chunk_tokens = 4};
  const HeadTeacher teacher = top_teacher(p, 7, s.kl_temperature);
  const Tensor rounded = teacher.top.log_probs.to(DType::f64);
  Tensor stored = Tensor::uninitialized(rounded.shape(), DType::f64);
  for (int64_t i = 0; i < stored.numel(); ++i)
    stored.data<double>()[i] = s.kl_temperature * rounded.data<double>()[i];
  Tape a, b, c;
  const Var x1 = a.variable(p.x.clone()), w1 = a.variable(p.w.clone());
  const Var x2 = b.variable(p.x.clone()), w2 = b.variable(p.w.clone());
  const Var x3 = c.variable(p.x.clone()), w3 = c.variable(p.w.clone());
  const HeadLoss got = head_loss(x1, w1, &teacher, nullptr, s);
  const Var exact = kl_divergence(linear(x2, w2), stored, s.kl_temperature);
  const HeadLoss full = head_loss(x3, w3, &p.teacher, nullptr, s);
  EXPECT_NEAR(got.kl.item(), exact.value().item(), 1e-13);
  EXPECT_NEAR(got.kl.item(), full.kl.item(), 1e-3 * full.kl.item());
  EXPECT_NE(got.kl.item(), full.kl.item());
  a.backward(got.loss);
  b.backward(exact);
  c.backward(full.loss);
  for (const auto& [top, known, whole] : {std::tuple{x1, x2, x3}, {w1, w2, w3}}) {
    EXPECT_LT(largest_difference(top.grad().tensor, known.grad().tensor), 1e-14);
    EXPECT_LT(largest_difference(top.grad().tensor, whole.grad().tensor), 1e-3);
  }
}

TEST(HeadLoss, FewerIdsNeverGiveALargerDivergence) {
  const Problem p;
  Tape tape(Tape::Mode::no_grad);
  double before = 0;
  for (int64_t k = 1; k <= 7; ++k) {
    const HeadTeacher teacher = top_teacher(p, k, 1);
    const double kl =
        head_loss(tape.constant(p.x), tape.constant(p.w), &teacher, nullptr, {}).kl.item();
    EXPECT_GT(kl, before - 1e-3) << k;  // to the rounding of F16
    before = kl;
  }
}

// One row of logits x against stored log-probabilities, in float and in double.
template <class T>
std::pair<double, Tensor> one_row(const std::vector<T>& x, const TopLogProbs& top) {
  const int64_t v = static_cast<int64_t>(x.size());
  Tensor unit = Tensor::zeros({v, v}, dtype_of<T>::value);
  for (int64_t i = 0; i < v; ++i) unit.template data<T>()[i * v + i] = 1;
  Tape tape;
  const Var logits = tape.variable(Tensor::of<T>({1, v}, x));
  const HeadTeacher teacher{.top = top};
  const HeadLoss out = head_loss(logits, tape.constant(unit), &teacher, nullptr, {});
  tape.backward(out.loss);
  return {out.kl.item(), logits.grad().tensor};
}

TEST(HeadLoss, ATailThatTheStudentAllButDeniesCancelsNothing) {
  // q_tail = e^-60 / 2 is nothing beside 1 in float, and not in double either.
  const TopLogProbs top{
      Tensor::of<int32_t>({1, 2}, {0, 2}),
      Tensor::of<float>({1, 2}, {std::log(0.5f), std::log(0.25f)}).to(DType::f16)};
  double p[2], p_tail = 1, expected = 0;
  for (int i = 0; i < 2; ++i) {
    const double log_p = to_float(top.log_probs.data<half_t>()[i]);
    p[i] = std::exp(log_p);
    p_tail -= p[i];
    expected += p[i] * (log_p + std::log(2.0));
  }
  expected += p_tail * (std::log(p_tail) + 60 + std::log(2.0));
  const auto [kl, gradient] =
      one_row<float>({30, -30 - std::log(2.0f), 30, -30 - std::log(2.0f)}, top);
  const auto [wide_kl, wide] =
      one_row<double>({30, -30 - std::log(2.0), 30, -30 - std::log(2.0)}, top);
  EXPECT_NEAR(wide_kl, expected, 1e-12);
  EXPECT_NEAR(kl, expected, 1e-5 * expected);
  const double by_hand[]{0.5 - p[0], -p_tail / 2, 0.5 - p[1], -p_tail / 2};
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(wide.data<double>()[i], by_hand[i], 1e-14);
    EXPECT_NEAR(gradient.data<float>()[i], by_hand[i], 1e-6);
  }
}

TEST(HeadLoss, StoredProbabilitiesAboveOneInSumAreDividedByIt) {
  // Two halves whose logarithm, -0.6931, was rounded up.
  const TopLogProbs top{Tensor::of<int32_t>({1, 2}, {0, 1}),
                        Tensor::of<float>({1, 2}, {-0.6925f, -0.6925f}).to(DType::f16)};
  ASSERT_GT(std::exp(to_float(top.log_probs.data<half_t>()[0])), 0.5);
  const auto [kl, gradient] = one_row<double>({0, 0, -100}, top);
  EXPECT_NEAR(kl, 0, 1e-15);
  EXPECT_LT(largest_difference(gradient, Tensor::zeros({1, 3}, DType::f64)), 1e-15);
}

TEST(HeadLoss, OfATeachersLikeliestIdsFloatAgreesWithDouble) {
  const Problem p;
  const HeadLossSettings s{.kl_weight = 1, .label_weight = 1};
  Tape wide, narrow;
  const HeadTeacher teacher = top_teacher(p, 3, 1);
  const Var x1 = wide.variable(p.x.clone()), w1 = wide.variable(p.w.clone());
  const Var x2 = narrow.variable(p.x.to(DType::f32)), w2 = narrow.variable(p.w.to(DType::f32));
  const HeadLoss a = head_loss(x1, w1, &teacher, &kTargets, s);
  const HeadLoss b = head_loss(x2, w2, &teacher, &kTargets, s);
  EXPECT_NEAR(a.kl.item(), b.kl.item(), 1e-6 * a.kl.item());
  wide.backward(a.loss);
  narrow.backward(b.loss);
  EXPECT_LT(largest_difference(x1.grad().tensor, x2.grad().tensor), 1e-6);
  EXPECT_LT(largest_difference(w1.grad().tensor, w2.grad().tensor), 1e-6);
}

TEST(HeadLoss, OfATeachersLikeliestIdsHoldsOneChunkOfTheStudentsLogitsAlone) {
  const int64_t v = 2000, c = 4, chunk = 16, k = 8;
  const Tensor w = random_tensor({v, c}, 1, 1, DType::f32);
  for (int64_t n : {64, 1024}) {
    const Tensor x = random_tensor({n, c}, 2, 1, DType::f32);
    const HeadTeacher teacher{.top = top_log_probs(x, w, k, 1)};
    reset_peak_allocated_bytes();
    const size_t before = allocated_bytes();
    Tape tape(Tape::Mode::no_grad);
    head_loss(tape.constant(x), tape.constant(w), &teacher, nullptr, {.chunk_tokens = chunk});
    EXPECT_LT(peak_allocated_bytes() - before, 1u * chunk * v * 4 + (1u << 16));
  }
}

TEST(HeadLoss, LikeliestIdsThatDoNotFitAreRefused) {
  const Problem p;
  Tape tape(Tape::Mode::no_grad);
  const auto loss = [&](const TopLogProbs& top) {
    const HeadTeacher teacher{.top = top};
    head_loss(tape.constant(p.x), tape.constant(p.w), &teacher, nullptr, {});
  };
  const TopLogProbs good = top_teacher(p, 3, 1).top;
  EXPECT_NO_THROW(loss(good));
  EXPECT_THROW(loss({good.ids.rows(0, 9), good.log_probs.rows(0, 9)}), std::invalid_argument);
  EXPECT_THROW(loss({good.ids, good.log_probs.rows(0, 9)}), std::invalid_argument);
  for (const auto& [at, id] : {std::pair{2, 7}, {0, -1}, {1, 0}, {4, 6}}) {
    TopLogProbs spoilt{good.ids.clone(), good.log_probs};
    spoilt.ids.data<int32_t>()[at] = id;
    EXPECT_THROW(loss(spoilt), std::invalid_argument) << at;
  }
}

}  // namespace
}  // namespace halftone
