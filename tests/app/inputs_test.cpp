// What would fail later is found before the first step, by check and run alike.
#include "app/program_testing.h"
#include "halftone/io/safetensors.h"

namespace halftone {
namespace {

class InputsTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
  }

  // check and run refuse the recipe with `code` and `phrases`, and leave no directory behind.
  void expect_refused(int code, const std::string& recipe, const std::vector<std::string>& phrases,
                      std::vector<std::string> more = {}) {
    for (const char* command : {"check", "run"}) {
      std::vector<std::string> arguments{command, recipe};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const Output got = program(arguments);
      EXPECT_EQ(got.code, code) << command << ": " << got.err;
      for (const std::string& phrase : phrases)
        EXPECT_NE(got.err.find(phrase), std::string::npos) << command << ": " << got.err;
    }
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/r"));
  }
  // check accepts the recipe and says `phrase` on stderr; with an empty one, nothing.
  void expect_warning(const std::string& recipe, const std::string& phrase,
                      std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"check", recipe};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Output got = program(arguments);
    EXPECT_EQ(got.code, 0) << got.err;
    if (phrase.empty()) {
      EXPECT_EQ(got.err, "");
    }
    EXPECT_NE(got.err.find(phrase), std::string::npos) << got.err;
  }
  std::string text(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name) << content;
    return folder_ + "/" + name;
  }
  std::string recipe(const std::string& more = "") {
    return write_recipe_file("r", "max_steps = 2\n", more);
  }
};

TEST_F(InputsTest, AGoodRecipeHasNothingToSay) {
  expect_warning(recipe(), "");
}

TEST_F(InputsTest, AllThatIsWrongIsToldTogether) {
  const std::string few = text("few.txt", "two words");
  expect_refused(2, recipe("[eval]\ntext = \"" + few + "\"\ncontext = 64\n"),
                 {"eval.text: ", "at least eval.context = 64", "data.train: found ",
                  "data.max_seq_length = 32"},
                 {"--set", "data.train=" + few});
}

TEST_F(InputsTest, ABatchLargerThanTheDataIsRefused) {
  std::string line;
  for (int i = 0; i < 40; ++i) line += "once upon a time ";
  expect_refused(2, recipe(), {"train.per_device_train_batch_size: found 500, at most the "},
                 {"--set", "data.train=" + text("some.txt", line), "--set",
                  "train.per_device_train_batch_size=500"});
}

TEST_F(InputsTest, AWarmUpLongerThanTheEpochsIsRefused) {
  expect_refused(2, recipe(), {"train.warmup_steps: found 100000, at most the "},
                 {"--set", "train.num_train_epochs=1", "--set", "train.warmup_steps=100000"});
}

TEST_F(InputsTest, TooLittleCalibrationTextIsRefused) {
  expect_refused(
      2,
      recipe("[calibration]\ntext = [\"" HALFTONE_SOURCE_DIR
             "/recipes/quickstart/heldout.txt\"]\nmax_seq_length = 64\n"),
      {"calibration.num_calibration_samples: found 100000, but the text has "},
      {"--set", "run.method=gptq", "--set", "calibration.num_calibration_samples=100000"});
}

TEST_F(InputsTest, ATeacherThatIsQuantisedAlreadyIsRefused) {
  ASSERT_EQ(program({"run", recipe(), "--quiet", "--run-dir", folder_ + "/student"}).code, 0);
  expect_refused(2, recipe(), {"student is quantised already"},
                 {"--set", "teacher.model=" + folder_ + "/student"});
  // It is measured as any other model.
  expect_warning(recipe("[eval]\ntext = \"" HALFTONE_SOURCE_DIR
                        "/recipes/quickstart/heldout.txt\"\ncontext = 32\n"),
                 "[train] is given, but the method none does not use it",
                 {"--set", "run.method=none", "--set", "teacher.model=" + folder_ + "/student"});
}

TEST_F(InputsTest, ATensorThatIsMissingIsFoundWithoutReadingTheOthers) {
  auto file = read_safetensors(folder_ + "/teacher/model.safetensors");
  std::map<std::string, Tensor> left;
  for (auto& [name, tensor] : file.tensors) left[name] = tensor.clone();
  left.erase("model.layers.1.mlp.up_proj.weight");
  write_safetensors(folder_ + "/teacher/model.safetensors", left);
  expect_refused(3, recipe(), {"model.layers.1.mlp.up_proj.weight"});
}

TEST_F(InputsTest, AContextBeyondTheModelsIsAWarning) {
  expect_warning(recipe(),
                 "data.max_seq_length: 200 tokens are more than the model's "
                 "max_position_embeddings = 128",
                 {"--set", "data.max_seq_length=200"});
}

TEST_F(InputsTest, SectionsThatTheMethodDoesNotUseAreAWarning) {
  expect_warning(recipe("[ptq]\nbits = 3\n"),
                 "[ptq] is given, but the method onebit does not use it");
}

TEST_F(InputsTest, CheckpointsThatTheDiskCannotHoldAreFoundBefore) {
  expect_refused(4, recipe(), {"MB left", "train.save_total_limit = 1000000"},
                 {"--set", "train.save_total_limit=1000000"});
}

TEST_F(InputsTest, CheckSaysWhatTheStudentCanBeExportedAs) {
  const Output normed = program({"check", recipe()});
  EXPECT_NE(normed.out.find("# export             hf: no, each 1-bit linear has a layer"),
            std::string::npos);
  const Output plain = program({"check", recipe(), "--set", "student.post_layer_norm=false"});
  EXPECT_NE(plain.out.find("# export             hf: yes"), std::string::npos) << plain.out;
}

TEST_F(InputsTest, CheckSaysInWhichTypesTheSignsAreStored) {
  const auto exports = [&](const std::string& key) {
    const Output got =
        program({"check", recipe(), "--set", "student.post_layer_norm=false", "--set", key});
    EXPECT_EQ(got.code, 0) << got.err;
    return got.out;
  };
  EXPECT_NE(exports("student.foldable=true")
                .find("# export             gguf: yes, linears as Q2_0 (2.25 bits a weight), Q4_0"),
            std::string::npos);
  EXPECT_NE(exports("student.scale_group=32")
                .find("# export             compressed-tensors: yes, 2 bits, a scale for 32"),
            std::string::npos);
  EXPECT_NE(
      exports("student.ste=tanh").find("compressed-tensors: no, it has no place for in_scale"),
      std::string::npos);
}

TEST_F(InputsTest, GroupsThatDoNotFitTheModelAreFoundBefore) {
  expect_refused(
      2, recipe(),
      {"student.scale_group: found 64, but 'model.layers.0.mlp.down_proj' has 96 inputs"},
      {"--set", "student.post_layer_norm=false", "--set", "student.scale_group=64"});
}

TEST_F(InputsTest, ADirectoryThatIsInUseIsNoRunDirectory) {
  const std::string before = read_whole(folder_ + "/teacher/config.json");
  const Output into_model = program({"run", recipe(), "--run-dir", folder_ + "/teacher"});
  EXPECT_EQ(into_model.code, 2) << into_model.err;
  EXPECT_NE(into_model.err.find("and no run"), std::string::npos) << into_model.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/teacher/recipe.toml"));
  ASSERT_EQ(program({"run", recipe(), "--quiet"}).code, 0);
  const std::string result = read_whole(folder_ + "/r/result.json");
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/r"))
    if (entry.path().extension() == ".h5") std::filesystem::remove(entry.path());
  EXPECT_EQ(program({"run", recipe(), "--quiet"}).code, 2);
  EXPECT_EQ(read_whole(folder_ + "/r/result.json"), result);
}

TEST_F(InputsTest, OnePaddingTokenMayLieBehindTheModelsRowsAsLongAsNoTextHasIt) {
  const auto add = [&](const std::string& tokens) {
    std::ofstream(folder_ + "/teacher/tokenizer_config.json") << tokens;
  };
  add(R"({"pad_token": "<pad>"})");
  expect_warning(recipe(), "");
  std::string line;
  for (int i = 0; i < 200; ++i) line += "once upon a time <pad> ";
  expect_refused(3, recipe(), {"holds token 2048, but the model's embedding 2048 rows"},
                 {"--set", "data.train=" + text("padded.txt", line)});
  add(R"({"added_tokens_decoder": {"2048": {"content": "<user>", "special": true},
                                   "2049": {"content": "<bot>", "special": true}}})");
  expect_refused(3, recipe(), {"has 2050 tokens", "2048 rows"});
}

}  // namespace
}  // namespace halftone
