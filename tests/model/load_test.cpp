#include "halftone/model/load.h"

#include <filesystem>
#include <string>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/quant/rtn.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing::equal;
using testing::expect_refused;
using testing::TemporaryDirectory;

const std::string kTeacher = HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_student/teacher";

// A model file whose last block is quantised.
CheckpointContent mixed_content(const ModelConfig& config) {
  Decoder decoder = testing::tiny_decoder();
  for (auto& [role, linear] : decoder.blocks[1].linears)
    linear = std::make_unique<LowBitLinear>(
        linear->name, rtn(linear->dense_weight(), {.bits = 4, .group_size = 16}), Tensor());
  return model_content(decoder, config);
}

TEST(Load, AModelFileGivesItsDecoderBack) {
  const TemporaryDirectory run;
  const ModelConfig config = testing::tiny_config();
  const CheckpointContent content = mixed_content(config);
  write_checkpoint_file(run.file("model.h5"), content);
  for (const std::string& path : {run.path(), run.file("model.h5")}) {
    LoadedModel model = load_model(path);
    EXPECT_EQ(model.config, config);
    EXPECT_EQ(model.path, run.file("model.h5"));
    EXPECT_EQ(model.home, run.path());
    EXPECT_EQ(model.sha256, sha256_file(run.file("model.h5")));
    EXPECT_EQ(model.file_bytes, static_cast<int64_t>(fs::file_size(run.file("model.h5"))));
    EXPECT_EQ(linear_forms(model.decoder).size(), 7u);
    const CheckpointContent again = model_content(model.decoder, model.config);
    ASSERT_EQ(again.tensors.size(), content.tensors.size());
    for (const auto& [name, tensor] : content.tensors)
      EXPECT_TRUE(equal(again.tensors.at(name), tensor)) << name;
    EXPECT_EQ(again.meta, content.meta);
  }
  const ModelOutline outline = read_outline(run.path());
  EXPECT_EQ(outline.config, config);
  EXPECT_FALSE(outline.dense);
  EXPECT_TRUE(outline.stored_as_f16);
}

TEST(Load, ADirectoryOfHuggingFaceIsAModelToo) {
  LoadedModel model = load_model(kTeacher, {.widen = true});
  EXPECT_EQ(model.home, kTeacher);
  EXPECT_EQ(model.file_bytes, static_cast<int64_t>(fs::file_size(kTeacher + "/model.safetensors")));
  EXPECT_TRUE(linear_forms(model.decoder).empty());
  EXPECT_TRUE(read_outline(kTeacher).dense);
}

TEST(Load, RoundingThatIsAskedForIsToldOf) {
  EXPECT_TRUE(load_model(kTeacher, {.dtype = WeightDtype::f32}).notes.empty());
  const auto notes = load_model(kTeacher, {.dtype = WeightDtype::bf16}).notes;
  ASSERT_FALSE(notes.empty());
  EXPECT_NE(notes[0].find("rounding changed"), std::string::npos);
}

TEST(Load, TheNewestWholeCheckpointStandsInForAModelFile) {
  const TemporaryDirectory run;
  CheckpointContent content = mixed_content(testing::tiny_config());
  write_checkpoint_file(checkpoint_file(run.path(), 2), content);
  write_checkpoint_file(checkpoint_file(run.path(), 4), content);
  fs::resize_file(checkpoint_file(run.path(), 4), 1000);
  const LoadedModel model = load_model(run.path());
  EXPECT_EQ(model.path, checkpoint_file(run.path(), 2));
  ASSERT_EQ(model.notes.size(), 1u);
  EXPECT_NE(model.notes[0].find("skipped a damaged checkpoint"), std::string::npos);
  content.meta["kind"] = "quantising";
  write_checkpoint_file(checkpoint_file(run.path(), 6), content);
  expect_refused("finish it with `halftone resume`", [&] { load_model(run.path()); });
}

TEST(Load, WhatIsNoModelIsRefusedAndSaysWhatToDo) {
  const TemporaryDirectory run;
  expect_refused("is no model", [&] { load_model(run.path()); });
  run.write("recipe.toml", "");
  expect_refused("go on with `halftone resume", [&] { load_model(run.path()); });
  run.write("result.json", R"({"method": "none", "teacher": {"path": "the/teacher"}})");
  expect_refused("measures its teacher, the/teacher", [&] { load_model(run.path()); });
  CheckpointContent content = mixed_content(testing::tiny_config());
  content.meta.erase("config");
  write_checkpoint_file(run.file("model.h5"), content);
  expect_refused("meta 'config' is missing", [&] { load_model(run.path()); });
}

}  // namespace
}  // namespace halftone
