// OPT and Gemma 3 as a user meets them: a folder with a vocabulary in two files, where BOS stands,
// and where learned positions end.
#include <nlohmann/json.hpp>

#include "app/program_testing.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

class FamilyCommandsTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    for (int i = 0; i < 200; ++i) text_ += static_cast<char>('a' + i * i % 26);
    std::ofstream(folder_ + "/text.txt") << text_;
  }

  // The fixture's weights, and a token for each letter behind <s>, <pad> and </s>.
  std::string model(const std::string& fixture, bool add_bos) const {
    const std::string to = folder_ + "/" + fixture;
    std::filesystem::copy(HALFTONE_SOURCE_DIR "/tests/fixtures/families/" + fixture, to);
    Json vocabulary{{"<s>", 0}, {"<pad>", 1}, {"</s>", 2}};
    for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = 3 + c - 'a';
    std::ofstream(to + "/vocab.json") << vocabulary;
    std::ofstream(to + "/merges.txt") << "#version: 0.2\n";
    std::ofstream(to + "/tokenizer_config.json")
        << Json{{"bos_token", "</s>"}, {"eos_token", "</s>"}, {"add_bos_token", add_bos}};
    return to;
  }

  Output evaluate(const std::string& model, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"eval",      model, "--text", folder_ + "/text.txt",
                                       "--context", "16",  "--json", "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program(arguments);
  }
  Json measured(const std::string& model, const std::vector<std::string>& more) const {
    const Output got = evaluate(model, more);
    EXPECT_EQ(got.code, 0) << got.err;
    return Json::parse(got.out);
  }

  std::string text_;
};

TEST_F(FamilyCommandsTest, BosStandsWhereTheSettingSays) {
  const std::string opt = model("opt-0", true);
  const Json document = measured(opt, {}), window = measured(opt, {"--bos", "window"}),
             none = measured(opt, {"--bos", "none"}),
             llamacpp = measured(opt, {"--protocol", "llamacpp"});
  EXPECT_EQ(document["bos"], "document");
  EXPECT_EQ(document["tokens"], 201);
  EXPECT_EQ(document["windows"], 12);  // 201 / 16
  EXPECT_EQ(window["bos"], "window");
  EXPECT_EQ(window["tokens"], 200);
  EXPECT_EQ(window["windows"], 13);  // 200 / 15
  EXPECT_EQ(window["predictions"], 13 * 15);
  EXPECT_EQ(none["tokens"], 200);
  EXPECT_EQ(none["windows"], 12);
  EXPECT_NE(none["perplexity"], document["perplexity"]);
  EXPECT_EQ(llamacpp["bos"], "window");
  EXPECT_EQ(llamacpp["tokens"], 201);
  const std::string gemma = model("gemma3_text-0", true);
  EXPECT_EQ(measured(gemma, {})["bos"], "window");
  EXPECT_EQ(measured(gemma, {})["perplexity"], measured(gemma, {"--bos", "window"})["perplexity"]);
}

TEST_F(FamilyCommandsTest, ABosInEachWindowNeedsATokenizerThatHasOne) {
  const std::string opt = model("opt-0", false);
  const Output got = evaluate(opt, {"--bos", "window"});
  EXPECT_EQ(got.code, 2);
  EXPECT_NE(got.err.find("eval.bos is window, but the model's tokenizer puts no token in front"),
            std::string::npos)
      << got.err;
  const Json llamacpp = measured(opt, {"--protocol", "llamacpp"});
  EXPECT_EQ(llamacpp["tokens"], 200);
  EXPECT_EQ(llamacpp["bos"], "none");
  EXPECT_EQ(measured(opt, {})["bos"], "none");
}

TEST_F(FamilyCommandsTest, LearnedPositionsEndWithAnErrorThatSaysSo) {
  const std::string opt = model("opt-1", true), end = " tokens, expected at most 64: the model has";
  const std::string recipe = folder_ + "/onebit.toml";
  std::ofstream(recipe) << "[run]\nname = \"x\"\nmethod = \"onebit\"\n[teacher]\nmodel = \"" << opt
                        << "\"\n[data]\ntrain = [\"text.txt\"]\nmax_seq_length = 65\n[eval]\n"
                        << "text = \"text.txt\"\ncontext = 66\n[train]\nmax_steps = 1\n";
  const auto expect_error = [&](const std::vector<std::string>& arguments,
                                const std::string& phrase) {
    const Output got = program(arguments);
    EXPECT_EQ(got.code, 2) << got.out;
    EXPECT_NE(got.err.find(phrase + end), std::string::npos) << got.err;
  };
  for (const char* command : {"check", "run"}) {
    expect_error({command, recipe}, "data.max_seq_length is 65");
    expect_error({command, recipe}, "eval.context is 66");
  }
  expect_error({"eval", opt, "--text", folder_ + "/text.txt", "--context", "65"},
               "--context is 65");
  expect_error({"generate", opt, "--prompt", "abc", "--tokens", "61"}, "the context is 65");
  const Output got = program({"generate", opt, "--prompt", "abc", "--tokens", "60"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_TRUE(got.out.starts_with("abc"));
}

}  // namespace
}  // namespace halftone
