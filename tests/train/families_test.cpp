// Every family: a tiny random model equals transformers, trains as a student, and is quantised by
// every method.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "halftone/compress/onebit_start.h"
#include "halftone/compress/ptq.h"
#include "halftone/io/safetensors.h"
#include "halftone/model/load.h"
#include "halftone/model/spec.h"
#include "halftone/train/distillation.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> family_folders() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(HALFTONE_SOURCE_DIR "/tests/fixtures/families"))
    if (entry.is_directory()) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

class FamilyTest : public ::testing::TestWithParam<std::string> {
 protected:
  const std::string folder_ = GetParam();
  const Safetensors expected_ = read_safetensors(folder_ + "/logits.safetensors");
  LoadedModel model_ = load_model(folder_, {.widen = true});

  std::vector<int32_t> ids() const {
    const Tensor& stored = expected_.tensors.at("ids");
    return {stored.data<int32_t>(), stored.data<int32_t>() + stored.numel()};
  }
  // The largest difference from transformers' logits.
  double worst_difference(Decoder& model) const {
    Tape tape(Tape::Mode::no_grad);
    const Tensor logits = model.logits(model.hidden(tape, ids(), 2).value());
    const Tensor& wanted = expected_.tensors.at("logits");
    double worst = 0;
    for (int64_t i = 0; i < logits.numel(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(logits.data<float>()[i]) -
                                       static_cast<double>(wanted.data<float>()[i])));
    return worst;
  }
};

TEST_P(FamilyTest, LogitsAreThoseOfTransformers) {
  const double worst = worst_difference(model_.decoder);
  RecordProperty("worst_difference", fmt::format("{:.2e}", worst));
  EXPECT_LT(worst, 1e-4);
}

// A first part as long as a prompt, then single tokens and a few at a time.
TEST_P(FamilyTest, ACacheGivesTheSameLogitsInParts) {
  const std::vector<int32_t> all = ids();
  const int64_t length = static_cast<int64_t>(all.size()) / 2, v = model_.config.vocab_size;
  KeyValueCache cache = model_.decoder.make_cache(1, length);
  const float* wanted = expected_.tensors.at("logits").data<float>();
  int64_t at = 0;
  for (const int64_t part : {9, 1, 1, 6, 1, 6}) {
    Tape tape(Tape::Mode::no_grad);
    const std::vector<int32_t> next(all.begin() + at, all.begin() + at + part);
    const Tensor logits =
        model_.decoder.logits(model_.decoder.hidden(tape, next, 1, &cache).value());
    for (int64_t i = 0; i < logits.numel(); ++i)
      ASSERT_NEAR(logits.data<float>()[i], wanted[at * v + i], 1e-4) << "token " << at + i / v;
    at += part;
  }
  ASSERT_EQ(at, length);
}

TEST_P(FamilyTest, LearnedPositionsEnd) {
  Decoder& decoder = model_.decoder;
  const auto run = [&](size_t tokens) {
    Tape tape(Tape::Mode::no_grad);
    decoder.hidden(tape, std::vector<int32_t>(tokens, 5), 1);
  };
  const size_t most = static_cast<size_t>(model_.config.max_position_embeddings);
  run(most);
  if (!decoder.spec.positions) return run(most + 1);
  const auto message = [](const auto& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::recipe);
      return error.what();
    }
    return "";
  };
  const std::string wanted =
      "the context is 65 tokens, expected at most 64: the model has learned no positions beyond";
  EXPECT_EQ(message([&] { run(65); }), wanted);
  EXPECT_EQ(message([&] { decoder.make_cache(1, 65); }), wanted);
}

TEST_P(FamilyTest, NormTweakingLowersItsObjective) {
  Decoder student = build_decoder(model_.decoder.spec, trainable_copy(weights_of(model_.decoder)));
  bool has_parameters = false;
  for (auto& [role, norm] : student.blocks[0].norms)
    norm.visit([&](Param&) { has_parameters = true; });
  std::vector<int32_t> tokens;  // 16 sequences of 24
  for (int64_t i = 0; i < 16 * 24; ++i)
    tokens.push_back(static_cast<int32_t>(3 + i * i * 37 % (model_.config.vocab_size - 3)));
  Calibration calibration = start_calibration(student, tokens, 16);
  CompressSettings settings{.ptq = {.bits = 2, .group_size = 16}, .norm_tweak_present = true};
  settings.norm_tweak = {.learning_rate = 1e-3, .iterations = 4, .loss = TweakLoss::mse};
  const BlockReport report = quantise_block(student, 0, calibration, ptq_method("rtn"), settings);
  ASSERT_TRUE(report.tweak);
  EXPECT_EQ(report.tweak->kept, has_parameters);
  if (has_parameters) {
    EXPECT_LT(report.tweak->after, report.tweak->before);
  }
}

TEST_P(FamilyTest, ACacheGivesTheSameLogitsTokenByToken) {
  const std::vector<int32_t> all = ids();
  const size_t length = all.size() / 2;
  KeyValueCache cache = model_.decoder.make_cache(1, static_cast<int64_t>(length));
  const Tensor& wanted = expected_.tensors.at("logits");
  const int64_t v = model_.config.vocab_size;
  for (size_t t = 0; t < length; ++t) {
    Tape tape(Tape::Mode::no_grad);
    const Tensor logits =
        model_.decoder.logits(model_.decoder.hidden(tape, {all[t]}, 1, &cache).value());
    for (int64_t i = 0; i < v; ++i)
      ASSERT_NEAR(logits.data<float>()[i], wanted.data<float>()[static_cast<int64_t>(t) * v + i],
                  1e-4)
          << "token " << t;
  }
}

TEST_P(FamilyTest, ItsGgufTwinIsTheSameModel) {
  if (!fs::exists(folder_ + "/model.gguf")) GTEST_SKIP() << "the family has no GGUF form";
  LoadedModel twin = load_model(folder_ + "/model.gguf", {.widen = true});
  EXPECT_LT(worst_difference(twin.decoder), 1e-4);
  EXPECT_EQ(twin.config.architecture, model_.config.architecture);
}

TEST_P(FamilyTest, ItsConfigurationIsWrittenAsItIsRead) {
  EXPECT_EQ(parse_config(config_json(model_.config, DType::f16), "written"), model_.config);
}

TEST_P(FamilyTest, ItDistilsIntoOneBit) {
  Decoder student = build_decoder(model_.decoder.spec, trainable_copy(weights_of(model_.decoder)));
  start_onebit(student, {.post_layer_norm = false});
  double first = 0, last = 0;
  for (int step = 0; step < 12; ++step) {
    Tape tape;
    const BatchLoss loss = batch_loss(tape, student, &model_.decoder, ids(), 2, {});
    (step == 0 ? first : last) = loss.terms().total;
    tape.backward(loss.loss);
    student.visit([](Param& param) {
      ASSERT_TRUE(param.grad.filled) << param.name;
      for (int64_t i = 0; i < param.value.numel(); ++i) {
        ASSERT_TRUE(std::isfinite(param.grad.tensor.data<float>()[i])) << param.name;
        param.value.data<float>()[i] -= 2e-4f * param.grad.tensor.data<float>()[i];
      }
      param.grad.clear();
    });
  }
  EXPECT_LT(last, first);
}

TEST_P(FamilyTest, EveryPostTrainingMethodRunsAndTweaksItsNorms) {
  for (const PtqMethod& method : ptq_methods()) {
    Decoder student =
        build_decoder(model_.decoder.spec, trainable_copy(weights_of(model_.decoder)));
    Calibration calibration = start_calibration(student, ids(), 2);
    CompressSettings settings{.ptq = {.bits = 4, .group_size = 16, .blocksize = 16},
                              .norm_tweak_present = true,
                              .norm_tweak = {.learning_rate = 1e-3, .iterations = 2}};
    for (size_t block = 0; block < student.blocks.size(); ++block) {
      const BlockReport report = quantise_block(student, block, calibration, method, settings);
      EXPECT_EQ(report.linears.size(), student.blocks[block].linears.size()) << method.name;
      for (const QuantisedLinear& linear : report.linears) {
        EXPECT_GT(linear.relative_error, 0) << method.name << " " << linear.name;
        EXPECT_LT(linear.relative_error, 1) << method.name << " " << linear.name;
      }
      ASSERT_TRUE(report.tweak);
      EXPECT_TRUE(std::isfinite(report.tweak->after)) << method.name;
    }
    // What is stored gives the model back.
    Decoder back = build_decoder(student.spec, packed_weights(student), linear_forms(student));
    for (size_t block = 0; block < student.blocks.size(); ++block)
      for (const auto& [role, linear] : student.blocks[block].linears) {
        const Tensor a = linear->dense_weight(),
                     b = back.blocks[block].linears.at(role)->dense_weight();
        EXPECT_TRUE(std::equal(a.data<float>(), a.data<float>() + a.numel(), b.data<float>()))
            << method.name << " " << linear->name;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyTest, ::testing::ValuesIn(family_folders()),
                         [](const auto& info) {
                           std::string name = fs::path(info.param).filename();
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace halftone
