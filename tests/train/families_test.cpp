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
#include "halftone/quant/svid.h"
#include "halftone/quant/tied_scales.h"
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
  // Of all tokens, and of few, which the packed linears multiply in another way.
  std::vector<Tensor> logits_of(Decoder& model) const {
    Tape tape(Tape::Mode::no_grad);
    const std::vector<int32_t> all = ids();
    return {model.logits(model.hidden(tape, all, 2).value()),
            model.logits(model.hidden(tape, {all.begin(), all.begin() + 7}, 1).value())};
  }
  // The linears of a quantised model as they are read from a model file and from a packed one give
  // the logits of their dense weights.
  void expect_same_logits_from_codes(Decoder& model, const std::string& method) const {
    const std::vector<Tensor> wanted = logits_of(model);
    const auto expect_near = [&](const char* what) {
      const std::vector<Tensor> found = logits_of(model);
      for (size_t k = 0; k < found.size(); ++k) {
        double worst = 0, largest = 0;
        for (int64_t i = 0; i < found[k].numel(); ++i) {
          const double a = wanted[k].data<float>()[i], b = found[k].data<float>()[i];
          worst = std::max(worst, std::abs(a - b));
          largest = std::max(largest, std::abs(a));
        }
        EXPECT_LT(worst, 1e-5 * largest) << method << ", " << what;
      }
    };
    const auto read_again = [&](bool mapped) {
      for (Block& block : model.blocks)
        for (const Slot& slot : block.spec.slots) {
          if (slot.is_norm()) continue;
          auto& linear = block.linears.at(slot.role);
          const auto tensors = mapped ? linear->mapped() : linear->stored();
          EXPECT_EQ(tensors.contains(slot.hf + ".words"), mapped);
          linear =
              linear_of(linear->form(), slot.hf, slot.out, slot.in, [&](const std::string& part) {
                const auto it = tensors.find(slot.hf + "." + part);
                return it == tensors.end() ? Tensor() : it->second;
              });
        }
    };
    read_again(false);
    expect_near("stored");
    read_again(true);
    expect_near("mapped");
  }
  // A few steps down the gradient of every parameter lower the loss.
  void expect_distils(const StudentSettings& settings) {
    Decoder student =
        build_decoder(model_.decoder.spec, trainable_copy(weights_of(model_.decoder)));
    start_onebit(student, settings);
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
  for (const StudentSettings& settings :
       {StudentSettings{.post_layer_norm = false},
        StudentSettings{.post_layer_norm = false, .foldable = true},
        StudentSettings{.post_layer_norm = false, .scale_group = 8}})
    expect_distils(settings);
}

// Its linears as OneBit layers whose g is one for all that read the same numbers, or 1 where no
// norm with a gain of their own makes these.
Decoder tied_rank_one(const Decoder& teacher, const Weights& weights) {
  Decoder out = build_decoder(teacher.spec, trainable_copy(weights));
  for (Block& block : out.blocks) {
    const auto weight = [&](SlotRole role) { return block.linears.at(role)->dense_weight(); };
    const auto tied = [&](std::vector<SlotRole> roles, SlotRole norm) {
      std::vector<Tensor> all;
      for (const SlotRole role : roles) all.push_back(weight(role));
      return block.spec.norm.affine && block.spec.has(norm)
                 ? svid(stacked_rows(all)).in_scale
                 : Tensor::full({all.front().dim(1)}, DType::f32, 1);
    };
    const int64_t repeats = block.spec.heads / block.spec.key_value_heads,
                  head = block.spec.head_dim;
    std::map<SlotRole, Tensor> g;
    g[SlotRole::q] = g[SlotRole::k] = g[SlotRole::v] =
        tied({SlotRole::q, SlotRole::k, SlotRole::v}, SlotRole::attention_norm);
    g[SlotRole::o] = repeated_heads(svid(summed_heads(weight(SlotRole::o), repeats, head)).in_scale,
                                    repeats, head);
    g[SlotRole::up] = block.spec.has(SlotRole::gate)
                          ? tied({SlotRole::gate, SlotRole::up}, SlotRole::mlp_norm)
                          : tied({SlotRole::up}, SlotRole::mlp_norm);
    g[SlotRole::gate] = g[SlotRole::up];
    g[SlotRole::down] = svid(weight(SlotRole::down)).in_scale;
    for (auto& [role, linear] : block.linears) {
      const Tensor w = weight(role);
      const Tensor h = group_scales(w, g[role], w.dim(1)).scales.reshape({w.dim(0)});
      linear = std::make_unique<OneBitLinear>(linear->name, w, g[role], h, linear->bias.value,
                                              OneBitOptions{.post_layer_norm = false});
    }
  }
  return out;
}

TEST_P(FamilyTest, AFoldedStartIsTheTiedRankOneLayer) {
  const Weights weights = weights_of(model_.decoder);
  Decoder wanted = tied_rank_one(model_.decoder, weights);
  Decoder folded = build_decoder(model_.decoder.spec, trainable_copy(weights));
  start_onebit(folded, {.post_layer_norm = false, .foldable = true});
  Tape tape(Tape::Mode::no_grad);
  const Tensor a = folded.logits(folded.hidden(tape, ids(), 2).value()),
               b = wanted.logits(wanted.hidden(tape, ids(), 2).value());
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(a.data<float>()[i]) -
                                     static_cast<double>(b.data<float>()[i])));
    largest = std::max(largest, std::abs(static_cast<double>(b.data<float>()[i])));
  }
  RecordProperty("worst_difference", fmt::format("{:.2e}", worst / largest));
  EXPECT_LT(worst, 1e-5 * largest);
}

// What is stored of it is the same model, of one magnitude a row and group.
TEST_P(FamilyTest, AGroupScaledStudentIsStoredAndRead) {
  for (const StudentSettings& settings :
       {StudentSettings{.post_layer_norm = false, .foldable = true},
        StudentSettings{.post_layer_norm = false, .scale_group = 8}}) {
    Decoder student =
        build_decoder(model_.decoder.spec, trainable_copy(weights_of(model_.decoder)));
    start_onebit(student, settings);
    student.visit([](Param& param) {
      if (param.role == ParamRole::scale)
        param.value = param.value.to(DType::f16).to(DType::f32);  // as it is stored
    });
    const CheckpointContent content = model_content(student, model_.config);
    Decoder back = decoder_of(content, model_.config);
    for (size_t block = 0; block < student.blocks.size(); ++block)
      for (const auto& [role, linear] : student.blocks[block].linears) {
        const LinearLike& read = *back.blocks[block].linears.at(role);
        const Tensor a = linear->dense_weight(), b = read.dense_weight();
        EXPECT_EQ(read.form(), settings.foldable ? "onebit row" : "onebit group 8");
        EXPECT_TRUE(std::equal(a.data<float>(), a.data<float>() + a.numel(), b.data<float>()));
        const int64_t width = settings.foldable ? a.dim(1) : 8;
        for (int64_t i = 0; i < a.numel(); ++i)
          ASSERT_EQ(std::abs(a.data<float>()[i]), std::abs(a.data<float>()[i / width * width]));
      }
    for (size_t block = 0; block < student.blocks.size(); ++block)
      for (auto& [role, norm] : student.blocks[block].norms)
        if (norm.gain.value.defined()) {
          const Tensor a = norm.gain.value, b = back.blocks[block].norms.at(role).gain.value;
          EXPECT_TRUE(std::equal(a.data<float>(), a.data<float>() + a.numel(), b.data<float>()));
        }
  }
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
    expect_same_logits_from_codes(student, std::string(method.name));
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
