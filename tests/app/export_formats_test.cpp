// Runs exported in each format, and read again as models.
#include <nlohmann/json.hpp>

#include "app/program_testing.h"
#include "halftone/io/packed_file.h"
#include "halftone/text/ready_tokenizer.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

const std::string kText = HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt";

class ExportFormatsTest : public ProgramTest {
 protected:
  // A run with these settings of its student; its directory.
  std::string run_of(const std::string& name, const std::string& student) const {
    const std::string recipe = write_recipe_file(
        name, "max_steps = 2\n",
        "[student]\n" + student + "[eval]\ntext = \"" + kText + "\"\ncontext = 32\n");
    const Output got = program({"run", recipe, "--quiet"});
    EXPECT_EQ(got.code, 0) << got.err;
    return folder_ + "/" + name;
  }
  std::string exported(const std::string& run, const std::string& format, const std::string& name,
                       const std::vector<std::string>& options = {}) const {
    std::vector<std::string> command{"export", run,     "--format",
                                     format,   "--out", folder_ + "/" + name};
    command.insert(command.end(), options.begin(), options.end());
    const Output got = program(command);
    EXPECT_EQ(got.code, 0) << got.err;
    EXPECT_NE(got.out.find("read back: "), std::string::npos) << got.out;
    return folder_ + "/" + name;
  }
  double perplexity(const std::string& model) const {
    const Output got = program({"eval", model, "--text", kText, "--context", "32", "--max-windows",
                                "8", "--json", "--quiet"});
    EXPECT_EQ(got.code, 0) << got.err;
    return nlohmann::json::parse(got.out)["perplexity"].get<double>();
  }
  std::string said(const std::vector<std::string>& command) const {
    const Output got = program(command);
    EXPECT_EQ(got.code, 0) << got.err;
    return got.out;
  }
  void expect_same_text(const std::string& model, const std::string& run) const {
    const auto text = [&](const std::string& m) {
      return said({"generate", m, "--prompt", "Once upon a time", "--tokens", "8"});
    };
    EXPECT_EQ(text(model), text(run));
    const auto ids = [&](const std::string& m) {
      return said({"tokenize", m, "--text", kText, "--json"});
    };
    EXPECT_EQ(ids(model), ids(run));
  }
};

TEST_F(ExportFormatsTest, APackedFileIsTheRunInOneFile) {
  make_teacher();
  const std::string run = run_of("normed", ""), packed = exported(run, "packed", "x.packed");
  EXPECT_EQ(perplexity(packed), perplexity(run));
  expect_same_text(packed, run);
  const std::string again = exported(packed, "packed", "again.packed");
  EXPECT_EQ(read_whole(again), read_whole(packed));
  const std::string q8_0 = exported(run, "packed", "q.packed", {"--embedding-type", "q8_0"});
  EXPECT_NEAR(perplexity(q8_0), perplexity(run), 5e-3 * perplexity(run));
  EXPECT_LT(fs::file_size(q8_0), fs::file_size(packed));
  const auto inspected = nlohmann::json::parse(said({"inspect", packed, "--json"}));
  for (const char* phrase : {"Halftone packed model", "BPE, 2048 tokens"})
    EXPECT_NE(inspected.dump().find(phrase), std::string::npos) << inspected.dump();
  EXPECT_EQ(inspected["parameters"], 61440 + 2048 * 64 + 5 * 64);
  const Output there = program({"export", run, "--format", "packed", "--out", packed});
  EXPECT_EQ(there.code, 2);
  EXPECT_NE(there.err.find("is there already"), std::string::npos) << there.err;
}

TEST_F(ExportFormatsTest, DamageOfAPackedFileIsFound) {
  make_teacher();
  const std::string packed = exported(run_of("normed", ""), "packed", "x.packed"),
                    damaged = folder_ + "/damaged.packed";
  const auto expect_found = [&](size_t at, const std::vector<std::string>& arguments) {
    std::string bytes = read_whole(packed);
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    std::ofstream(damaged, std::ios::binary) << bytes;
    const Output found = program(arguments);
    EXPECT_EQ(found.code, 3) << at;
    EXPECT_NE(found.err.find("damaged"), std::string::npos) << found.err;
  };
  const size_t weight = fs::file_size(packed) / 2, list = 200;
  for (const size_t at : {weight, list}) {
    expect_found(at, {"eval", damaged, "--text", kText});
    expect_found(at, {"export", damaged, "--out", folder_ + "/out"});
  }
  expect_found(list, {"generate", damaged, "--prompt", "x"});
}

TEST_F(ExportFormatsTest, APackedFileHasItsTokenizerReady) {
  make_teacher();
  const std::string run = run_of("normed", ""), packed = exported(run, "packed", "x.packed");
  const PackedFile file = PackedFile::open(packed);
  ASSERT_TRUE(file.tokenizer());
  EXPECT_EQ(std::string(*file.tokenizer()), ready_tokenizer(run));
  EXPECT_EQ(ready_tokenizer(packed), ready_tokenizer(run));
  EXPECT_EQ(load_tokenizer(packed)->hash(), load_tokenizer(run)->hash());
}

TEST_F(ExportFormatsTest, AReleasedLayoutIsTheSameModel) {
  make_teacher();
  const std::string run = run_of("normed", ""), directory = exported(run, "onebit", "released");
  EXPECT_NEAR(perplexity(directory), perplexity(run), 1e-5 * perplexity(run));
  EXPECT_TRUE(fs::exists(directory + "/tokenizer.json"));
  const std::string packed = exported(directory, "packed", "x.packed");
  EXPECT_NEAR(perplexity(packed), perplexity(run), 1e-5 * perplexity(run));
}

TEST_F(ExportFormatsTest, CompressedTensorsAreTheSameModel) {
  make_teacher();
  for (const auto& [name, student] :
       {std::pair<std::string, std::string>{"row", "foldable = true\n"},
        {"group", "scale_group = 32\n"}}) {
    const std::string run = run_of(name, "post_layer_norm = false\n" + student),
                      directory = exported(run, "compressed-tensors", name + "-ct");
    EXPECT_NEAR(perplexity(directory), perplexity(run), 1e-5 * perplexity(run));
    EXPECT_TRUE(fs::exists(directory + "/tokenizer.json"));
    EXPECT_NE(read_whole(directory + "/config.json").find("compressed-tensors"), std::string::npos);
  }
}

}  // namespace
}  // namespace halftone
