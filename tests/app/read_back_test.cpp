// An export is compared with its model before it gets its name.
#include "app/read_back.h"

#include <filesystem>
#include <stdexcept>

#include "halftone/tensor/arithmetic.h"
#include "program_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

const std::string kTeacher = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher";
const std::string kText = HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt";

class ReadBackTest : public ::testing::Test {
 protected:
  std::string error_of(const std::optional<TextSettings>& settings) {
    try {
      compare_models(model_, written_, settings);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "equal";
  }
  void expect_error(const std::string& phrase, const std::optional<TextSettings>& settings) {
    const std::string text = error_of(settings);
    EXPECT_NE(text.find(phrase), text.npos) << text;
  }
  // Every number of the embedding, which is the head, too.
  void scale_embedding(double by) {
    const Tensor& embedding = written_.decoder.embedding.value;
    Tensor scaled = Tensor::zeros(embedding.shape(), DType::f32);
    scale(embedding.to(DType::f32), by, scaled);
    written_.decoder.embedding.value = scaled;
  }

  LoadedModel model_ = load_model(kTeacher, {.widen = true}),
              written_ = load_model(kTeacher, {.widen = true});
  TextSettings text_{.text = kText, .context = 64};
};

TEST_F(ReadBackTest, TheSameModelHasNoDifference) {
  const ReadBack on_text = compare_models(model_, written_, text_),
                 without = compare_models(model_, written_, {});
  EXPECT_EQ(on_text.windows, kWindowsReadBack);
  EXPECT_EQ(on_text.difference, 0);
  EXPECT_EQ(on_text.model, on_text.written);
  EXPECT_NE(on_text.text().find("over 4 windows"), std::string::npos);
  EXPECT_EQ(without.windows, 0);
  EXPECT_EQ(without.difference, 0);
  EXPECT_NE(without.text().find("no evaluation text is known"), std::string::npos);
}

TEST_F(ReadBackTest, AnotherModelIsFoundOutByTextAndByLogits) {
  scale_embedding(1.1);
  expect_error("read back, it is not the model that was exported: perplexity", text_);
  expect_error("logits of 64 random tokens differ by", {});
}

TEST_F(ReadBackTest, AnotherShapeIsNamed) {
  written_.decoder.spec.blocks.pop_back();
  expect_error("29 parameters, 38 expected", {});
  written_.decoder.spec = model_.decoder.spec;
  written_.decoder.spec.blocks[1].slots[0].out = 7;
  expect_error("'model.layers.1.input_layernorm.weight' of shape [7]", {});
}

TEST_F(ReadBackTest, AnotherTokenizerIsNamed) {
  const std::string folder = ::testing::TempDir() + "read-back-" + std::to_string(getpid());
  fs::create_directories(folder);
  fs::copy_file(HALFTONE_SOURCE_DIR "/tests/fixtures/tokenizers/smollm.json",
                folder + "/tokenizer.json", fs::copy_options::overwrite_existing);
  written_.home = folder;
  expect_error("its tokenizer gives other ids from token 0 of", text_);
  fs::remove_all(folder);
}

class ExportTest : public ProgramTest {};

TEST_F(ExportTest, AGgufHasThePerplexityOfItsRunAndTakesNoPlace) {
  make_teacher();
  const std::string recipe = write_recipe_file(
      "plain", "max_steps = 2\n",
      "[student]\npost_layer_norm = false\n[eval]\ntext = \"" + kText + "\"\ncontext = 32\n");
  ASSERT_EQ(program({"run", recipe, "--quiet"}).code, 0);
  const std::string run = folder_ + "/plain", out = folder_ + "/made/plain.gguf";
  const std::vector<std::string> command = {"export", run, "--format", "gguf", "--out", out};
  const Output got = program(command);
  ASSERT_EQ(got.code, 0) << got.err;
  EXPECT_NE(got.out.find("14 F16"), std::string::npos) << got.out;
  EXPECT_NE(got.out.find("read back: perplexity"), std::string::npos) << got.out;
  const auto figure = [&](const std::string& model) {
    const Output eval =
        program({"eval", model, "--text", kText, "--context", "32", "--max-windows", "8"});
    EXPECT_EQ(eval.code, 0) << eval.err;
    return std::stod(eval.out.substr(eval.out.find(' ')));
  };
  EXPECT_NEAR(figure(out), figure(run), 1e-3 * figure(run));
  const auto ids = [&](const std::string& model) {
    return program({"tokenize", model, "--text", kText, "--json"}).out;
  };
  EXPECT_EQ(ids(out), ids(run));
  const Output again = program(command);
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("is there already, a new file is expected"), std::string::npos);
}

TEST_F(ExportTest, OptionsOfAnotherFormatAndTypesThatDoNotFitAreErrorsOfUse) {
  const auto expect = [&](const std::string& phrase, std::vector<std::string> options) {
    options.insert(options.begin(), {"export", kTeacher, "--out", folder_ + "/out"});
    const Output got = program(options);
    EXPECT_EQ(got.code, 2);
    EXPECT_NE(got.err.find(phrase), std::string::npos) << got.err;
    EXPECT_FALSE(fs::exists(folder_ + "/out"));
  };
  expect("--gguf-type: the format hf does not take it", {"--gguf-type", "q1_0"});
  expect("--embedding-type: the format hf does not take it", {"--embedding-type", "f16"});
  expect("--dtype: the format gguf does not take it", {"--format", "gguf", "--dtype", "f16"});
  expect("neighbours are no signs", {"--format", "gguf", "--gguf-type", "q1_0"});
  expect("q3_k", {"--format", "gguf", "--gguf-type", "q3_k"});
}

}  // namespace
}  // namespace halftone
