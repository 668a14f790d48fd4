#include "halftone/model/export_hf.h"

#include <filesystem>
#include <string>

#include "halftone/base/error.h"
#include "halftone/io/safetensors.h"
#include "halftone/io/strict_json.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryDirectory;

const std::string kUp = "model.layers.1.mlp.up_proj";

LoadedModel tiny_model() {
  LoadedModel model;
  model.config = testing::tiny_config();
  model.decoder = testing::tiny_decoder();
  return model;
}

void put_onebit(LoadedModel& model, bool post_layer_norm) {
  auto& up = model.decoder.blocks[1].linears[SlotRole::up];
  up = std::make_unique<OneBitLinear>(kUp, up->dense_weight(), Tensor::full({32}, DType::f32, 0.5),
                                      Tensor::full({48}, DType::f32, 2), Tensor(),
                                      OneBitOptions{.post_layer_norm = post_layer_norm});
}

TEST(ExportHf, WritesDenseWeightsThatAreReadAgain) {
  const TemporaryDirectory folder;
  LoadedModel model = tiny_model();
  put_onebit(model, false);
  const ExportSummary summary =
      export_hf(model, {{{"tokenizer.json", "{}"}}}, ExportDtype::automatic, folder.file("out"));
  EXPECT_EQ(summary.tensors, 20);
  EXPECT_EQ(summary.beyond_f16, 0);
  EXPECT_EQ(testing::read_bytes(folder.file("out/tokenizer.json")), "{}");
  const LoadedModel back = load_model(folder.file("out"));
  EXPECT_EQ(back.config, model.config);
  const Tensor sign = back.decoder.blocks[1].linears.at(SlotRole::up)->dense_weight(),
               latent = testing::tiny_decoder().blocks[1].linears.at(SlotRole::up)->dense_weight();
  for (int64_t i = 0; i < sign.numel(); ++i)
    ASSERT_EQ(sign.data<float>()[i], latent.data<float>()[i] >= 0 ? 1 : -1);  // 2 times 0.5
}

TEST(ExportHf, NumbersBeyondF16KeepTheirTensorWide) {
  const TemporaryDirectory folder;
  LoadedModel model = tiny_model();
  model.decoder.embedding.value.data<float>()[0] = 0x1p17f;
  model.decoder.final_norm->gain.value.fill(0x1p17);  // a power of two: BF16 holds it
  const ExportSummary summary = export_hf(model, {}, ExportDtype::automatic, folder.file("out"));
  EXPECT_EQ(summary.beyond_f16, 2);
  const Safetensors file = read_safetensors(folder.file("out/model.safetensors"));
  EXPECT_EQ(file.tensors.at("model.embed_tokens.weight").dtype(), DType::f32);
  EXPECT_EQ(file.tensors.at("model.norm.weight").dtype(), DType::bf16);
  EXPECT_EQ(file.tensors.at(kUp + ".weight").dtype(), DType::f16);
  // What is read as one dtype must hold all of them.
  const auto config = read_json_file(folder.file("out/config.json"), 1 << 20);
  EXPECT_EQ(config.at("torch_dtype"), "float32");
  try {
    export_hf(model, {}, ExportDtype::f16, folder.file("half"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numerical);
    EXPECT_NE(std::string(error.what()).find("holds 1 numbers beyond F16's"), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(folder.file("half")));
}

TEST(ExportHf, ALayerNormalisationIsRefusedBeforeAnythingIsWritten) {
  const TemporaryDirectory folder;
  LoadedModel model = tiny_model();
  put_onebit(model, true);
  EXPECT_THROW(export_hf(model, {}, ExportDtype::f32, folder.file("out")), Error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace halftone
