// Texts of several sources: what a run reads, holds out, keeps and discloses.
#include <nlohmann/json.hpp>

#include "app/program_testing.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

class SourcesTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
  }
  // Of the quickstart's text, two sources and a share that is held out.
  std::string recipe(const std::string& name, const std::string& more = "") const {
    return write_recipe_file(
        name, "max_steps = 2\n", kEval + more,
        "held_out = 0.1\n" + source() + "weight = 3\n" + source() + "typography = \"wikitext\"\n");
  }
  static std::string source() { return "[[data.source]]\npath = \"" + kText + "\"\n"; }
  std::vector<std::string> kept() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      if (entry.path().filename().string().starts_with("tokens-")) out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
  }
  static inline const std::string kText = HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt";
  static inline const std::string kEval = "[eval]\ncontext = 32\nmax_windows = 3\n";
};

TEST_F(SourcesTest, ARunDisclosesItsSourcesAndMeasuresWhatItHeldOut) {
  const Output ran = program({"run", recipe("mixed"), "--quiet", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = Json::parse(ran.out), data = result["data"];
  ASSERT_EQ(data["sources"].size(), 2u) << data;
  const Json &plain = data["sources"][0], &set = data["sources"][1];
  EXPECT_EQ(plain["path"], kText);
  EXPECT_EQ(plain["typography"], "as-is");
  EXPECT_EQ(set["typography"], "wikitext");
  EXPECT_EQ(plain["weight"], 3);
  const double a = plain["tokens"], b = set["tokens"], all = data["tokens"];
  EXPECT_EQ(a + b, all);
  EXPECT_NEAR(a / b, 3, 0.3);
  EXPECT_EQ(data["held_out"]["share"], 0.1);
  EXPECT_GT(data["held_out"]["documents"], 0);
  // The text is the evaluation's, for it has no other, and lies in the run directory.
  EXPECT_EQ(result["eval"]["tokens"], data["held_out"]["tokens"]);
  const std::string file = folder_ + "/mixed/held-out.tok";
  const Output again = program({"eval", folder_ + "/mixed", "--text", file, "--context", "32",
                                "--max-windows", "3", "--json", "--quiet"});
  ASSERT_EQ(again.code, 0) << again.err;
  const Json measured = Json::parse(again.out);
  EXPECT_EQ(measured["perplexity"], result["eval"]["perplexity"]);
  EXPECT_EQ(measured["text_sha256"], result["eval"]["text_sha256"]);
  const Output joined =
      program({"eval", folder_ + "/mixed", "--text", file, "--join", "wikitext", "--quiet"});
  EXPECT_EQ(joined.code, 2);
  EXPECT_NE(joined.err.find("held-out.tok: is a token file"), std::string::npos) << joined.err;
}

TEST_F(SourcesTest, CheckSaysWhatWouldBeReadAndKeepsNothing) {
  const size_t before = kept().size();
  const Output checked = program({"check", recipe("mixed")});
  ASSERT_EQ(checked.code, 0) << checked.err;
  EXPECT_NE(checked.out.find("passes: " + kText + ", as WikiText is set\n"), std::string::npos)
      << checked.out;
  EXPECT_NE(checked.out.find("# held out "), std::string::npos) << checked.out;
  EXPECT_EQ(kept().size(), before);
}

TEST_F(SourcesTest, HeldOutDocumentsAreMeasuredBesideOtherTexts) {
  const std::string text = "text = \"" + kText + "\"\n";
  const Output ran = program({"run", recipe("beside", text), "--quiet", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json texts = Json::parse(ran.out)["texts"];
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0]["name"], "heldout");
  EXPECT_EQ(texts[1]["name"], "held-out");
}

TEST_F(SourcesTest, RunsThatBeginAtOnceShareTheirTokens) {
  for (const std::string& file : kept()) std::filesystem::remove(file);
  recipe("one");
  recipe("two");
  const Output both = shell("cd '" + folder_ +
                            "'; \"$H\" run one.toml --quiet & \"$H\" run two.toml --quiet; a=$?; "
                            "wait $! && exit $a");
  ASSERT_EQ(both.code, 0) << both.err;
  EXPECT_EQ(digest("one"), digest("two"));
  const std::vector<std::string> files = kept();
  ASSERT_EQ(files.size(), 2u);  // a typography each
  const auto stamp = std::filesystem::last_write_time(files[0]);
  ASSERT_EQ(program({"run", recipe("three"), "--quiet"}).code, 0);
  EXPECT_EQ(kept(), files);
  EXPECT_EQ(std::filesystem::last_write_time(files[0]), stamp);
  EXPECT_EQ(digest("three"), digest("one"));
  // What was kept is checked, and a damaged file named.
  std::filesystem::resize_file(files[0], std::filesystem::file_size(files[0]) - 1);
  const Output damaged = program({"run", recipe("four"), "--quiet"});
  EXPECT_EQ(damaged.code, 3);
  EXPECT_NE(damaged.err.find(files[0]), std::string::npos) << damaged.err;
}

TEST_F(SourcesTest, PassagesThatTheTeacherGoesOnFromAreMixedToo) {
  const std::string generate = "[data.generate]\nsequences = 6\nprefix_tokens = [4, 8]\n";
  const auto run = [&](const std::string& name, const std::string& tables) {
    const Output ran =
        program({"run", write_recipe_file(name, "max_steps = 1\n", generate + tables, ""),
                 "--quiet", "--json"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.code ? Json() : Json::parse(ran.out)["data"];
  };
  const std::string table = "[[data.generate.prefix]]\npath = \"" + kText + "\"\n";
  const Json plain = run("plain", "prefix = [\"" + kText + "\"]\n"), same = run("same", table),
             set = run("set", table + "typography = \"wikitext\"\n");
  EXPECT_EQ(plain["sha256"], same["sha256"]);
  EXPECT_NE(plain["sha256"], set["sha256"]);
  EXPECT_EQ(plain["generated_tokens"], plain["tokens"]);
}

}  // namespace
}  // namespace halftone
