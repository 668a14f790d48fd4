// Texts and tasks: R ranks give the figures of one.
#include "ranks_testing.h"

namespace halftone::testing {
namespace {

using Json = nlohmann::json;

class RanksEvaluationTest : public RanksTest {
 protected:
  // Documents of many lengths, in several batches.
  void SetUp() override {
    RanksTest::SetUp();
    std::filesystem::create_directories(folder_ + "/tasks");
    std::ofstream piqa(folder_ + "/tasks/piqa.jsonl"),
        lambada(folder_ + "/tasks/lambada_openai.jsonl");
    std::string context = "Once";
    for (int i = 0; i < 100; ++i) {
      context += i % 10 == 0 ? ". The" : " little";
      if (i % 25 == 0) context = "Once upon";
      piqa << Json{{"context", context}, {"choices", {" girl was happy.", " a"}}, {"gold", 0}}
           << "\n";
      lambada << Json{{"context", context}, {"choices", {" girl"}}, {"gold", 0}} << "\n";
    }
    std::ofstream(folder_ + "/other.txt")
        << read_whole(HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt").substr(2000, 6000);
  }

  Json measured(const std::string& name, int ranks) const {
    const std::string eval = fmt::format(
        "[eval]\ncontext = 32\nmax_windows = 5\ntasks = [\"piqa\", \"lambada_openai\"]\ntasks_dir "
        "= \"tasks\"\n"
        "[[eval.text]]\npath = \"{}/recipes/quickstart/heldout.txt\"\n"
        "[[eval.text]]\npath = \"other.txt\"\n",
        HALFTONE_SOURCE_DIR);
    const Arguments arguments = run_of(recipe(name, 6 / ranks, "max_steps = 1\n", eval));
    const Output out = ranks == 1 ? program(arguments) : on_ranks(ranks, arguments);
    EXPECT_EQ(out.code, 0) << out.err;
    return Json::parse(read_whole(folder_ + "/" + name + "/result.json"), nullptr, false);
  }
};

TEST_F(RanksEvaluationTest, TextsAndTasksAreSharedOutToTheSameFigures) {
  const Json one = measured("one", 1);
  ASSERT_EQ(one["texts"].size(), 2u);
  ASSERT_EQ(one["tasks"]["results"][0]["documents"], 100);
  for (const int ranks : {2, 3}) {
    const Json many = measured(fmt::format("of{}", ranks), ranks);
    EXPECT_EQ(many["texts"], one["texts"]);
    EXPECT_EQ(many["tasks"], one["tasks"]);
    EXPECT_EQ(many["machine"]["ranks"], ranks);
  }
}

TEST_F(RanksEvaluationTest, SoDoesACommandOfItsOwn) {
  const Arguments eval{"eval",        folder_ + "/teacher",
                       "--text",      folder_ + "/other.txt",
                       "--context",   "32",
                       "--tasks",     "piqa",
                       "--tasks-dir", folder_ + "/tasks",
                       "--json"};
  Arguments one = eval;
  one.insert(one.end(), {"--samples", folder_ + "/one.jsonl"});
  const Output alone = program(one);
  ASSERT_EQ(alone.code, 0) << alone.err;
  Arguments many = eval;
  many.insert(many.end(), {"--samples", folder_ + "/many.jsonl"});
  const Output shared = on_ranks(2, many);
  ASSERT_EQ(shared.code, 0) << shared.err;
  EXPECT_EQ(shared.out, alone.out);
  EXPECT_EQ(read_whole(folder_ + "/many.jsonl"), read_whole(folder_ + "/one.jsonl"));
  const Output missing = on_ranks(2, {"eval", folder_ + "/none", "--text", folder_ + "/other.txt"});
  EXPECT_EQ(missing.code, 3) << missing.err;
  EXPECT_EQ(missing.err.find("cannot be opened"), missing.err.rfind("cannot be opened"));
}

TEST_F(RanksEvaluationTest, OtherTextsAreNamedWithTheirRanks) {
  const auto of = [&](const std::string& file) {
    Arguments out = run_of(recipe("same", 1, "max_steps = 1\n"));
    out.insert(out.end(), {"--set", "eval.context=32", "--set", "eval.text=" + folder_ + file});
    return with_program(out);
  };
  std::filesystem::create_directories(folder_ + "/a");
  std::filesystem::create_directories(folder_ + "/b");
  const std::string text = read_whole(folder_ + "/other.txt");
  std::ofstream(folder_ + "/a/text.txt") << text;
  std::ofstream(folder_ + "/b/text.txt") << text << "more of it";
  const Output out = on_each({of("/a/text.txt"), of("/b/text.txt")});
  EXPECT_EQ(out.code, 3) << out.err;
  EXPECT_NE(out.err.find("eval.text text: sha256: rank 0 has "), std::string::npos) << out.err;
}

}  // namespace
}  // namespace halftone::testing
