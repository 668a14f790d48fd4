#include "halftone/model/export_compressed_tensors.h"

#include <cmath>
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

const std::string kDown = "model.layers.1.mlp.down_proj";

// A model that is wide enough for the largest group.
ModelConfig wide_config() {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 128;
  config.intermediate_size = 256;
  config.head_dim = 32;
  return config;
}

// Each weight its sign times a number of its row and group.
void make_signs(LinearLike& linear, int64_t group, double step) {
  linear.visit([&](Param& param) {
    if (param.role != ParamRole::weight) return;
    Tensor w = param.value.to(DType::f32);
    for (int64_t i = 0; i < w.numel(); ++i) {
      float& x = w.data<float>()[i];
      x = std::copysign(static_cast<float>(0.5 + step * static_cast<double>(i / group % 7)), x);
    }
    param.value = w;
  });
}

// Linears with one magnitude a row (0), or a group of inputs.
LoadedModel signs_model(const ModelConfig& config, int64_t group, double step = 0.25) {
  LoadedModel model;
  model.config = config;
  const DecoderSpec spec = decoder_spec(config);
  model.decoder = build_decoder(spec, random_weights(spec, 3));
  model.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    make_signs(*linear, group > 0 ? group : linear->dense_weight().dim(1), step);
  });
  return model;
}

// What the library makes of a linear's tensors.
Tensor decompressed(const std::map<std::string, Tensor>& tensors, const std::string& linear) {
  const Tensor &packed = tensors.at(linear + ".weight_packed"),
               scale = tensors.at(linear + ".weight_scale").to(DType::f32);
  const int64_t* shape = tensors.at(linear + ".weight_shape").data<int64_t>();
  Tensor out = Tensor::zeros({shape[0], shape[1]}, DType::f32);
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j) {
      const auto word = static_cast<uint32_t>(packed.data<int32_t>()[i * packed.dim(1) + j / 16]);
      const int code = static_cast<int>(word >> (2 * (j % 16)) & 3) - 2;
      const int64_t group = j / (shape[1] / scale.dim(1));
      out.data<float>()[i * shape[1] + j] =
          static_cast<float>(code) * scale.data<float>()[i * scale.dim(1) + group];
    }
  return out;
}

nlohmann::json quantization_of(const std::string& directory) {
  return read_json_file(directory + "/config.json", 1 << 20).at("quantization_config");
}

// The text of the Error(recipe) that the export ends with.
std::string refusal(LoadedModel model, const TemporaryDirectory& folder) {
  try {
    export_compressed_tensors(model, {}, folder.file("out"));
    ADD_FAILURE() << "exported";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::recipe);
    EXPECT_TRUE(fs::is_empty(folder.path()));
    return error.what();
  }
  return "";
}

TEST(ExportCompressedTensors, EveryWeightIsACodeTimesItsScale) {
  for (const int64_t group : {0, 128, 64, 32}) {
    SCOPED_TRACE(group);
    const TemporaryDirectory folder;
    LoadedModel model = signs_model(wide_config(), group);
    // Of a row with 128 inputs, 128 are the whole row: down_proj alone reads more.
    const ExportSummary summary =
        export_compressed_tensors(model, {{{"tokenizer.json", "{}"}}}, folder.file("out"));
    EXPECT_EQ(testing::read_bytes(folder.file("out/tokenizer.json")), "{}");
    const auto tensors = read_safetensors(folder.file("out/model.safetensors")).tensors;
    EXPECT_EQ(tensors.size(), 14u * 3 + 4 + 2);
    EXPECT_EQ(summary.tensors, 48);
    model.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
      EXPECT_TRUE(testing::equal(decompressed(tensors, linear->name), linear->dense_weight()))
          << linear->name;
    });
    EXPECT_EQ(tensors.at(kDown + ".weight_scale").shape(),
              (Shape{128, group > 0 ? 256 / group : 1}));
    EXPECT_EQ(tensors.at(kDown + ".weight_scale").dtype(), DType::f16);
    const nlohmann::json weights =
        quantization_of(folder.file("out")).at("config_groups").at("group_0").at("weights");
    EXPECT_EQ(weights.at("strategy"), group > 0 ? "group" : "channel");
    EXPECT_EQ(weights.at("group_size"), group > 0 ? nlohmann::json(group) : nlohmann::json());
    EXPECT_EQ(weights.at("num_bits"), 2);
  }
}

TEST(ExportCompressedTensors, ScalesBeyondF16sPrecisionAreF32AndSoIsTheModel) {
  const TemporaryDirectory folder;
  LoadedModel model = signs_model(testing::tiny_config(), 0, 0.1);
  export_compressed_tensors(model, {}, folder.file("out"));
  const auto tensors = read_safetensors(folder.file("out/model.safetensors")).tensors;
  EXPECT_EQ(tensors.at(kDown + ".weight_scale").dtype(), DType::f32);
  EXPECT_EQ(tensors.at("model.norm.weight").dtype(), DType::f16);  // ones
  EXPECT_EQ(read_json_file(folder.file("out/config.json"), 1 << 20).at("torch_dtype"), "float32");
  model.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    EXPECT_TRUE(testing::equal(decompressed(tensors, linear->name), linear->dense_weight()));
  });
}

TEST(ExportCompressedTensors, OneBitLayersWithAScaleForEachRowFit) {
  const TemporaryDirectory folder;
  LoadedModel model = signs_model(testing::tiny_config(), 0);
  auto& down = model.decoder.blocks[1].linears[SlotRole::down];
  const Tensor latent = testing::tiny_decoder().blocks[1].linears[SlotRole::down]->dense_weight();
  const auto onebit = [&](const Tensor& in_scale, bool post_layer_norm) {
    return std::make_unique<OneBitLinear>(kDown, latent, in_scale,
                                          Tensor::full({32}, DType::f32, 2), Tensor(),
                                          OneBitOptions{.post_layer_norm = post_layer_norm});
  };
  Tensor ones = Tensor::full({48}, DType::f32, 1);
  down = onebit(ones, false);
  export_compressed_tensors(model, {}, folder.file("out"));
  const auto tensors = read_safetensors(folder.file("out/model.safetensors")).tensors;
  EXPECT_TRUE(testing::equal(decompressed(tensors, kDown), down->dense_weight()));
  EXPECT_FALSE(tensors.contains(kDown + ".weight") || tensors.contains(kDown + ".in_scale"));

  const TemporaryDirectory empty;
  down = onebit(ones, true);
  EXPECT_NE(refusal(std::move(model), empty).find("has a layer normalisation behind it"),
            std::string::npos);
}

TEST(ExportCompressedTensors, TheFirstLinearThatDoesNotFitIsNamedWithTheReason) {
  const TemporaryDirectory folder;
  const auto expect = [&](LoadedModel model, const std::string& phrase) {
    const std::string text = refusal(std::move(model), folder);
    EXPECT_NE(text.find(phrase), text.npos) << text;
  };
  LoadedModel dense;
  dense.config = testing::tiny_config();
  dense.decoder = testing::tiny_decoder();
  expect(std::move(dense),
         "'model.layers.0.self_attn.q_proj' has weights of two magnitudes in row 0");

  LoadedModel one = signs_model(wide_config(), 32);
  make_signs(*one.decoder.blocks[1].linears[SlotRole::down], 16, 0.25);
  expect(std::move(one), "'" + kDown + "' has weights of two magnitudes in row 0");

  LoadedModel narrow = signs_model(testing::tiny_config(), 32);
  expect(std::move(narrow), "'model.layers.0.mlp.down_proj' reads 48 inputs, no multiple of 32");
}

TEST(ExportCompressedTensors, LinearsOutsideTheBlocksAreNotPacked) {
  const TemporaryDirectory folder;
  LoadedModel model = signs_model(testing::tiny_config(), 0);
  model.decoder.spec.projections =
      Projections{{"model.decoder.project_in", ""}, {"model.decoder.project_out", ""}};
  export_compressed_tensors(model, {}, folder.file("out"));
  EXPECT_EQ(quantization_of(folder.file("out")).at("ignore").dump(),
            R"(["lm_head","model.decoder.project_in","model.decoder.project_out"])");
}

}  // namespace
}  // namespace halftone
