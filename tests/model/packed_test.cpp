#include "halftone/model/packed.h"

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/packed_file.h"
#include "halftone/io/sealed_file.h"
#include "halftone/quant/billm.h"
#include "halftone/quant/rtn.h"
#include "halftone/tensor/arithmetic.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing::equal;
using testing::expect_refused;
using testing::TemporaryDirectory;

const std::string kUp = "model.layers.1.mlp.up_proj";

Tensor numbers(Shape shape, double mean, uint64_t seed) {
  Tensor out = Tensor::uninitialized(std::move(shape), DType::f32);
  Rng rng(seed, RngStream::test);
  fill_normal(out, 0.3, rng);
  Tensor start = Tensor::full(out.shape(), DType::f32, mean);
  add(start, out, out);
  return out.to(DType::f16).to(DType::f32);
}

// A tied model of random numbers that F16 holds, its linears as `put` makes them.
using Put = std::function<std::unique_ptr<LinearLike>(const LinearLike& dense)>;
LoadedModel model_of(const Put& put = {}, bool tied = true) {
  LoadedModel out;
  out.config = testing::tiny_config();
  out.config.tie_word_embeddings = tied;
  out.config.attention_bias = out.config.attention_output_bias = !tied;
  const DecoderSpec spec = decoder_spec(out.config);
  Weights weights = random_weights(spec, 3);
  uint64_t seed = 0;
  for (auto& [name, tensor] : weights)
    tensor = numbers(tensor.shape(), tensor.rank() == 1 ? 1 : 0, ++seed);
  out.decoder = build_decoder(spec, weights);
  if (put)
    out.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) { linear = put(*linear); });
  return out;
}

Put onebit(bool normed) {
  return [=](const LinearLike& dense) {
    const Tensor w = dense.dense_weight();
    return std::make_unique<OneBitLinear>(dense.name, w, numbers({w.dim(1)}, 1, 1),
                                          numbers({w.dim(0)}, 0.5, 2), dense.bias.value,
                                          OneBitOptions{.post_layer_norm = normed});
  };
}

Put grouped(int64_t group) {
  return [=](const LinearLike& dense) {
    const Tensor w = dense.dense_weight();
    const int64_t groups = group == 0 ? 1 : w.dim(1) / group;
    return std::make_unique<GroupScaledLinear>(dense.name, w, numbers({w.dim(0), groups}, 0.2, 3),
                                               dense.bias.value);
  };
}

std::unique_ptr<LinearLike> quantised(const LinearLike& dense) {
  const Tensor w = dense.dense_weight();
  return std::make_unique<LowBitLinear>(dense.name, rtn(w, {.bits = 3, .group_size = 16}),
                                        dense.bias.value);
}

struct Kind {
  std::string name;
  Put put;
  std::string part;  // of kUp in the file; empty: all of its stored ones
};

std::vector<Kind> kinds() {
  return {{"dense", {}, "weight"},
          {"onebit", onebit(false), "words"},
          {"onebit post_layer_norm", onebit(true), "words"},
          {"onebit row", grouped(0), "words"},
          {"onebit group 16", grouped(16), "out_scale"},  // not on tiles
          {"rtn", quantised, ""},
          {"xnor",
           [](const LinearLike& dense) {
             return std::make_unique<LowBitLinear>(dense.name, xnor(dense.dense_weight()),
                                                   dense.bias.value);
           },
           ""}};
}

Tensor logits_of(LoadedModel& model, const std::vector<int32_t>& ids = {1, 7, 39, 0, 12, 30, 2}) {
  Tape tape(Tape::Mode::no_grad);
  return model.decoder.logits(model.decoder.hidden(tape, ids, 1).value());
}

// The same from a model file.
LoadedModel through_model_file(LoadedModel& model, const std::string& path) {
  write_checkpoint_file(path, model_content(model.decoder, model.config));
  return load_model(path);
}

double largest(const Tensor& a) {
  double out = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    out = std::max(out, static_cast<double>(std::abs(a.data<float>()[i])));
  return out;
}

double difference(const Tensor& a, const Tensor& b) {
  double out = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    out = std::max(out, std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]));
  return out;
}

class Packed : public ::testing::Test {
 protected:
  std::string file(const std::string& name) const { return folder_.file(name); }
  PackedExportSummary write(LoadedModel& model, const std::string& name = "x.packed",
                            const PackedExportOptions& options = {}) const {
    return export_packed(model, {{{"tokenizer.json", "{}"}}}, options, file(name));
  }

  const TemporaryDirectory folder_;
};

TEST_F(Packed, GivesTheLogitsOfTheModelFileBitForBit) {
  for (const Kind& kind : kinds())
    for (const bool tied : {true, false}) {
      SCOPED_TRACE(kind.name + (tied ? " tied" : " untied"));
      LoadedModel model = model_of(kind.put, tied), final = through_model_file(model, file("m.h5"));
      write(model);
      LoadedModel back = load_packed(file("x.packed"));
      EXPECT_EQ(back.config, model.config);
      EXPECT_EQ(linear_forms(back.decoder), linear_forms(model.decoder));
      EXPECT_TRUE(equal(logits_of(back), logits_of(final)));
      // A latent layer sums in another order.
      const Tensor wanted = logits_of(model);
      EXPECT_LT(difference(logits_of(back), wanted), 1e-5 * largest(wanted));
      fs::remove(file("x.packed"));
    }
}

TEST_F(Packed, AModelFileGivesTheSameBytesAsTheLatentModel) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    LoadedModel model = model_of(kind.put), final = through_model_file(model, file("m.h5"));
    write(model, "latent.packed");
    write(final, "final.packed");
    EXPECT_EQ(testing::read_bytes(file("final.packed")),
              testing::read_bytes(file("latent.packed")));
    LoadedModel back = load_packed(file("final.packed"));
    write(back, "again.packed");
    EXPECT_EQ(testing::read_bytes(file("again.packed")), testing::read_bytes(file("final.packed")));
    for (const char* name : {"latent.packed", "final.packed", "again.packed"})
      fs::remove(file(name));
  }
}

TEST_F(Packed, IsAModelLikeAnyOther) {
  LoadedModel model = model_of(onebit(true));
  const PackedExportSummary summary = write(model);
  LoadedModel back = load_model(file("x.packed"));
  EXPECT_EQ(back.path, file("x.packed"));
  EXPECT_EQ(back.home, file("x.packed"));
  EXPECT_EQ(back.file_bytes, static_cast<int64_t>(fs::file_size(file("x.packed"))));
  EXPECT_EQ(back.file_bytes, summary.bytes);
  EXPECT_FALSE(summary.rounded);
  EXPECT_EQ(back.sha256, check_seal(file("x.packed")).sha256);
  EXPECT_EQ(back.sha256, load_packed(file("x.packed"), false).sha256);
  const Companions companions = read_companions(back.home, back.config);
  EXPECT_EQ(companions.files.at("tokenizer.json"), "{}");
  const PackedFile packed = PackedFile::open(file("x.packed"));
  EXPECT_EQ(packed.tensors().size(), static_cast<size_t>(summary.tensors));
  EXPECT_EQ(summary.tensors, 14 * 3 + 4 + 2);  // linears; norms; norm, embedding
  // What it holds is what a model file would.
  const auto stored = model_content(back.decoder, back.config).tensors,
             wanted = model_content(model.decoder, model.config).tensors;
  ASSERT_EQ(stored.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) EXPECT_TRUE(equal(stored.at(name), tensor)) << name;
}

TEST_F(Packed, HoldsTensorsAsForwardReadsThem) {
  for (const Kind& kind : kinds()) {
    LoadedModel model = model_of(kind.put);
    write(model);
    const auto tensors = PackedFile::open(file("x.packed")).tensors();
    if (kind.part.empty())
      for (const auto& [name, tensor] : model.decoder.blocks[1].linears.at(SlotRole::up)->stored())
        EXPECT_TRUE(equal(tensors.at(name), tensor)) << kind.name << " " << name;
    else
      EXPECT_TRUE(tensors.contains(kUp + "." + kind.part)) << kind.name;
    EXPECT_EQ(tensors.at("model.embed_tokens.weight").dtype(), DType::f16);
    EXPECT_EQ(tensors.at("model.norm.weight").dtype(), DType::f32);
    EXPECT_EQ(tensors.contains(kUp + ".sign"), kind.name == "onebit group 16") << kind.name;
    // Loading copies no matrix.
    LoadedModel back = load_packed(file("x.packed"));
    EXPECT_FALSE(back.decoder.embedding.value.writable());
    fs::remove(file("x.packed"));
  }
}

TEST_F(Packed, EmbeddingAndHeadInQ8_0AreClose) {
  for (const bool tied : {true, false}) {
    LoadedModel model = model_of(onebit(false), tied), final = through_model_file(model, file("m"));
    EXPECT_TRUE(write(model, "q", {.q8_0_embedding = true}).rounded);
    LoadedModel back = load_packed(file("q"));
    EXPECT_EQ(back.decoder.embedding.value.dtype(), DType::q8_0);
    if (!tied) {
      EXPECT_EQ(back.decoder.head.value.dtype(), DType::q8_0);
    }
    const Tensor wanted = logits_of(final), found = logits_of(back);
    EXPECT_GT(difference(found, wanted), 0);
    EXPECT_LT(difference(found, wanted), 0.05 * largest(wanted));
    // One token, as it is decoded, reads another way.
    EXPECT_LT(difference(logits_of(back, {7}), logits_of(final, {7})), 0.05 * largest(wanted));
    // Its blocks are written again as they are, or as F16.
    write(back, "again", {.q8_0_embedding = true});
    EXPECT_EQ(testing::read_bytes(file("again")), testing::read_bytes(file("q")));
    EXPECT_FALSE(write(back, "f16").rounded);
    EXPECT_EQ(load_packed(file("f16")).decoder.embedding.value.dtype(), DType::f16);
    fs::remove(file("f16"));
    fs::remove(file("q"));
    fs::remove(file("again"));
  }
}

TEST_F(Packed, ItsOutlineSaysWhatItIs) {
  for (const Kind& kind : kinds()) {
    LoadedModel model = model_of(kind.put);
    write(model);
    for (const ModelOutline& outline :
         {packed_outline(file("x.packed")), read_outline(file("x.packed"))}) {
      EXPECT_EQ(outline.config, model.config);
      EXPECT_EQ(outline.home, file("x.packed"));
      EXPECT_EQ(outline.dense, kind.name == "dense") << kind.name;
      EXPECT_TRUE(outline.stored_as_f16) << kind.name;
    }
    fs::remove(file("x.packed"));
  }
  LoadedModel wide = model_of();
  wide.decoder.embedding.value =
      Tensor::full(wide.decoder.embedding.value.shape(), DType::f32, 1e6);
  write(wide);
  EXPECT_FALSE(packed_outline(file("x.packed")).stored_as_f16);
  EXPECT_EQ(load_packed(file("x.packed")).decoder.embedding.value.dtype(), DType::f32);
}

TEST_F(Packed, AScaleBeyondF16IsNotWritten) {
  LoadedModel model = model_of(onebit(false));
  auto& up = dynamic_cast<OneBitLinear&>(*model.decoder.blocks[1].linears.at(SlotRole::up));
  up.out_scale.value = Tensor::full({48}, DType::f32, 70000);
  try {
    write(model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numerical);
    EXPECT_NE(std::string(error.what()).find(kUp + ".out_scale"), std::string::npos);
  }
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(Packed, WhatTheCheckThrowsLeavesNoFile) {
  LoadedModel model = model_of();
  EXPECT_THROW(export_packed(model, {}, {}, file("x.packed"),
                             [](const std::string& temporary) {
                               EXPECT_EQ(load_packed(temporary).config, testing::tiny_config());
                               throw std::runtime_error("not what was meant");
                             }),
               std::runtime_error);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(Packed, DamageIsFoundBeforeAnythingIsRead) {
  LoadedModel model = model_of(onebit(true));
  write(model);
  std::string bytes = testing::read_bytes(file("x.packed"));
  bytes[bytes.size() / 2] ^= 1;
  folder_.write("x.packed", bytes);
  expect_refused("damaged", [&] { load_packed(file("x.packed")); });
  // Found only where it is asked for.
  EXPECT_EQ(load_packed(file("x.packed"), false).config, testing::tiny_config());
  EXPECT_EQ(load_model(file("x.packed"), {.check_seal = false}).config, testing::tiny_config());
  expect_refused("damaged", [&] { load_model(file("x.packed")); });
}

// The content of a packed model, and what load_packed says once it is changed.
TEST_F(Packed, TensorsAndMetaThatDoNotFitAreNamed) {
  LoadedModel model = model_of(onebit(true));
  write(model, "whole.packed");
  const PackedFile whole = PackedFile::open(file("whole.packed"));
  const auto refuse = [&](const std::string& phrase,
                          const std::function<void(PackedContent&)>& change) {
    PackedContent content{whole.meta(), whole.files(), whole.tensors()};
    change(content);
    write_packed_file(file("x.packed"), content);
    expect_refused(phrase, [&] { load_packed(file("x.packed")); });
  };
  for (const auto& [name, tensor] : whole.tensors()) {
    refuse("'" + name + "' has shape [3]",
           [&](PackedContent& c) { c.tensors[name] = Tensor::zeros({3}, tensor.dtype()); });
    const DType other = tensor.dtype() == DType::u8 ? DType::f16 : DType::u8;
    refuse("'" + name + "' is of dtype",
           [&](PackedContent& c) { c.tensors[name] = Tensor::zeros(tensor.shape(), other); });
    refuse("is missing", [&](PackedContent& c) { c.tensors.erase(name); });
  }
  for (const char* key : {"config", "linear_forms"}) {
    refuse(std::string("no meta '") + key + "'", [&](PackedContent& c) { c.meta.erase(key); });
    refuse(file("x.packed"), [&](PackedContent& c) { c.meta[key] = "{"; });
  }
}

}  // namespace
}  // namespace halftone
