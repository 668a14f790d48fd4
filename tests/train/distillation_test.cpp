// The student, its losses and its steps against PyTorch.
#include "halftone/train/distillation.h"
#include "halftone/model/spec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "halftone/compress/onebit_start.h"
#include "halftone/io/safetensors.h"
#include "halftone/model/build.h"
#include "halftone/model/import.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/memory.h"
#include "halftone/train/adamw.h"
#include "halftone/train/logit_cache.h"

namespace halftone {
namespace {

const std::string kFolder = HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_student/";

struct Fixture {
  nlohmann::json expected;
  Safetensors file;
  ImportedModel imported = import_model(kFolder + "teacher", {.widen = true});
  Decoder teacher = build_decoder(decoder_spec(imported.config), imported.weights);
  std::vector<int32_t> ids;
  OneBitOptions options;

  explicit Fixture(const std::string& variant)
      : file(read_safetensors(kFolder + variant + ".safetensors")) {
    std::ifstream(kFolder + variant + ".json") >> expected;
    const Tensor& stored = file.tensors.at("ids");
    ids.assign(stored.data<int32_t>(), stored.data<int32_t>() + stored.numel());
    options = {.post_layer_norm = expected["post_layer_norm"],
               .ste = expected["ste"] == "tanh" ? Ste::tanh : Ste::identity};
  }
  Decoder student() const {
    Weights start;
    for (const auto& [name, tensor] : file.tensors)
      if (name.starts_with("start.")) start[name.substr(6)] = tensor.clone();
    const DecoderSpec spec = decoder_spec(imported.config);
    LinearForms forms;
    for (const BlockSpec& block : spec.blocks)
      for (const Slot& slot : block.slots)
        if (!slot.is_norm())
          forms[slot.hf] = options.post_layer_norm ? "onebit post_layer_norm" : "onebit";
    Decoder student = build_decoder(spec, start, forms);
    student.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
      static_cast<OneBitLinear&>(*linear).options.ste = options.ste;
    });
    return student;
  }
  StudentSettings settings() const {
    StudentSettings s{.post_layer_norm = options.post_layer_norm};
    s.latent_init = expected["latent_init"] == "sign" ? LatentInit::sign : LatentInit::magnitude;
    return s;
  }
};

// Largest difference relative to the largest entry expected.
double relative_difference(const Tensor& got, const Tensor& expected) {
  EXPECT_EQ(got.shape(), expected.shape());
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < got.numel(); ++i) {
    worst = std::max(
        worst, std::abs(static_cast<double>(got.data<float>()[i]) - expected.data<float>()[i]));
    largest = std::max(largest, std::abs(static_cast<double>(expected.data<float>()[i])));
  }
  return worst / largest;
}

class Distillation : public ::testing::TestWithParam<const char*> {};

TEST_P(Distillation, StartsFromTheTeacherAsPyTorchDoes) {
  const Fixture f(GetParam());
  Decoder student =
      build_decoder(decoder_spec(f.imported.config), trainable_copy(f.imported.weights));
  start_onebit(student, f.settings());
  for (const auto& [name, tensor] : weights_of(student))
    EXPECT_LT(relative_difference(tensor, f.file.tensors.at("start." + name)), 2e-6) << name;
}

TEST_P(Distillation, LossTermsLogitsAndEveryGradientAgreeWithPyTorch) {
  Fixture f(GetParam());
  Decoder student = f.student();
  Tape tape;
  const BatchLoss batch = batch_loss(tape, student, &f.teacher, f.ids, 2, LossSettings{});
  const double loss = f.expected["loss"], kl = f.expected["kl"], hidden = f.expected["hidden"];
  EXPECT_NEAR(batch.terms().total, loss, 1e-5 * loss);
  EXPECT_NEAR(batch.terms().kl, kl, 1e-5 * kl);
  EXPECT_NEAR(batch.terms().hidden, hidden, 1e-5 * hidden);
  tape.backward(batch.loss);
  int compared = 0;
  student.visit([&](Param& param) {
    EXPECT_LT(relative_difference(param.grad.tensor, f.file.tensors.at("grad." + param.name)), 1e-4)
        << param.name;
    ++compared;
  });
  EXPECT_EQ(compared, 2 + 2 * (2 + 7 * 3));

  Tape reading(Tape::Mode::no_grad);
  const Var logits = linear(student.hidden(reading, f.ids, 2), student.head_weight(reading));
  EXPECT_LT(relative_difference(logits.value(), f.file.tensors.at("logits")), 1e-5);
}

TEST_P(Distillation, GradientCheckpointingHoldsLessAndChangesNoBit) {
  Fixture f(GetParam());
  const size_t before = allocated_bytes();
  size_t held[2];
  double loss[2];
  Decoder students[2] = {f.student(), f.student()};
  const size_t models = allocated_bytes() - before;
  for (int kept = 0; kept < 2; ++kept) {
    Tape tape;
    const BatchLoss batch = batch_loss(tape, students[kept], &f.teacher, f.ids, 2, LossSettings{},
                                       {.gradient_checkpointing = kept == 0});
    held[kept] = allocated_bytes() - before - models;
    loss[kept] = batch.terms().total;
    tape.backward(batch.loss);
  }
  EXPECT_EQ(loss[0], loss[1]);
  EXPECT_LT(held[0], held[1] / 2);
  std::vector<Tensor> expected;
  students[1].visit([&](Param& p) { expected.push_back(p.grad.tensor); });
  size_t i = 0;
  students[0].visit(
      [&](Param& p) { EXPECT_EQ(relative_difference(p.grad.tensor, expected[i++]), 0) << p.name; });
}

TEST_P(Distillation, TheTeachersLikeliestIdsInItsPlaceGiveItsLossToTheRoundingOfF16) {
  Fixture f(GetParam());
  const LossSettings settings{.kl = 5, .kl_temperature = 2, .hidden = 0, .labels = 0.5};
  const int64_t v = f.imported.config.vocab_size;
  Decoder with_teacher = f.student(), with_ids = f.student();
  Tape a, b;
  const BatchLoss expected = batch_loss(a, with_teacher, &f.teacher, f.ids, 2, settings);
  const TopLogProbs known = teacher_rows(f.teacher, f.ids, 2, v, settings.kl_temperature);
  const BatchLoss got = batch_loss(b, with_ids, nullptr, f.ids, 2, settings, {&known});
  EXPECT_NEAR(got.terms().kl, expected.terms().kl, 1e-3 * expected.terms().kl);
  EXPECT_EQ(got.terms().labels, expected.terms().labels);
  EXPECT_NEAR(got.terms().total, expected.terms().total, 1e-3 * expected.terms().total);
  a.backward(expected.loss);
  b.backward(got.loss);
  EXPECT_LT(relative_difference(with_ids.embedding.grad.tensor, with_teacher.embedding.grad.tensor),
            5e-3);
  EXPECT_THROW(batch_loss(b, with_ids, &f.teacher, f.ids, 2, settings, {&known}),
               std::invalid_argument);
  EXPECT_THROW(batch_loss(b, with_ids, nullptr, f.ids, 2, LossSettings{}, {&known}),
               std::invalid_argument);
}

TEST_P(Distillation, TenStepsFollowPyTorch) {
  Fixture f(GetParam());
  Decoder student = f.student();
  std::vector<Param*> params;
  std::vector<Moments> moments;
  student.visit([&](Param& p) {
    params.push_back(&p);
    moments.push_back(no_moments(p.value));
  });
  Tensor flips = Tensor::zeros({}, DType::f64);
  for (int step = 0; step < 10; ++step) {
    for (Param* p : params) p->grad.clear();
    Tape tape;
    const BatchLoss batch = batch_loss(tape, student, &f.teacher, f.ids, 2, LossSettings{});
    const double expected = f.expected["steps"][step];
    EXPECT_NEAR(batch.terms().total, expected, 1e-4 * expected) << "step " << step;
    tape.backward(batch.loss);
    const double clip = std::min(1.0, 1.0 / (std::sqrt(squared_gradient_norm(params)) + 1e-6));
    adamw_step(params, moments, step + 1, 1e-3, clip, {}, flips);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Distillation,
                         ::testing::Values("released_layer", "no_layer_norm", "sign_identity"));

TEST(NextTokens, StopAtTheEndOfEverySequence) {
  EXPECT_EQ(next_tokens({1, 2, 3, 4, 5, 6}, 2), (std::vector<int32_t>{2, 3, -1, 5, 6, -1}));
}

}  // namespace
}  // namespace halftone
