#include "app/recipe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "app/recipe_testing.h"

namespace halftone {
namespace {

using namespace testing;

TEST_F(RecipeFile, ReadsWhatIsWrittenAndDefaultsForTheRest) {
  const Recipe r = read(kGood);
  EXPECT_EQ(r.run.name, "a");
  EXPECT_EQ(r.run.method, Method::onebit);
  EXPECT_EQ(r.train.max_steps, 10);
  EXPECT_EQ(r.train.adam_beta2, 0.98);
  EXPECT_EQ(r.loss.kl, 5);
  EXPECT_EQ(r.student.ste, Ste::tanh);
  EXPECT_FALSE(r.data.generate_present);
  EXPECT_EQ(resolved_latent_scale(r.student), 0.02);
}

TEST_F(RecipeFile, PathsOfTheFileAreRelativeToItAndDefaultsToTheWorkingDirectory) {
  const Recipe r = read(kGood);
  EXPECT_EQ(r.teacher.model, at("teacher"));
  EXPECT_EQ(r.data.train, std::vector<std::string>{at("train.txt")});
  EXPECT_EQ(r.eval.text, at("heldout.txt"));
  EXPECT_EQ(r.run.output_dir, (fs::current_path() / "runs").string());
  EXPECT_EQ(read(good_but("run", "name=\"a\"\nmethod=\"onebit\"\noutput_dir=\"../x/./y/\""))
                .run.output_dir,
            (folder_.parent_path() / "x/y").string());
}

TEST_F(RecipeFile, SeveralTextsAreTablesThatTakeWhatTheyLeaveOutFromTheirSection) {
  const Recipe r =
      read(good_but("eval",
                    "context = 64\nmax_windows = 3\n[[eval.text]]\npath = \"heldout.txt\"\n"
                    "[[eval.text]]\nname = \"b\"\npath = \"train.txt\"\ncontext = 32\n"
                    "join = \"wikitext\""));
  EXPECT_EQ(r.eval.text, "");
  const std::vector<TextSettings> texts = texts_of(r.eval);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0].name, "heldout");
  EXPECT_EQ(texts[0].text, at("heldout.txt"));
  EXPECT_EQ(texts[0].context, 64);
  EXPECT_EQ(texts[1].name, "b");
  EXPECT_EQ(texts[1].text, at("train.txt"));
  EXPECT_EQ(texts[1].context, 32);
  EXPECT_EQ(texts[1].max_windows, 3);
  EXPECT_EQ(texts[1].join, Join::wikitext);
  const std::string effective = write_recipe(r);
  EXPECT_NE(effective.find("\n[[eval.text]]\nname = \"b\"\n"), std::string::npos) << effective;
  EXPECT_EQ(write_recipe(read(effective)), effective);
  EXPECT_TRUE(recipe_differences(r, read(effective)).empty());
  // One text of the command line takes the place of them all.
  const Recipe one = read(effective, {"eval.text=" + at("train.txt")});
  EXPECT_TRUE(one.eval.texts.empty());
  EXPECT_EQ(one.eval.text, at("train.txt"));
}

TEST_F(RecipeFile, SourcesOfTextAreTables) {
  const Recipe r =
      read(good_but("data",
                    "held_out = 0.01\n[data.generate]\nsequences = 2\n"
                    "[[data.generate.prefix]]\npath = \"train.txt\"\n[[data.source]]\npath = "
                    "\"train.txt\"\n[[data.source]]\npath = \"heldout.txt\"\nweight = 2\n"
                    "typography = \"wikitext\"\n"));
  ASSERT_EQ(r.data.sources.size(), 2u);
  EXPECT_EQ(r.data.sources[0].path, at("train.txt"));
  EXPECT_EQ(r.data.sources[0].weight, 1);
  EXPECT_EQ(r.data.sources[0].typography, Typography::as_is);
  EXPECT_EQ(r.data.sources[1].weight, 2);
  EXPECT_EQ(r.data.sources[1].typography, Typography::wikitext);
  ASSERT_EQ(r.data.generate.prefixes.size(), 1u);
  EXPECT_EQ(r.data.generate.prefixes[0].path, at("train.txt"));
  const std::string effective = write_recipe(r);
  EXPECT_EQ(write_recipe(read(effective)), effective);
  // One path of the command line takes the place of the tables.
  const Recipe one = read(effective, {"data.generate.prefix=" + at("heldout.txt")});
  EXPECT_TRUE(one.data.generate.prefixes.empty());
  EXPECT_EQ(one.data.generate.prefix, std::vector<std::string>{at("heldout.txt")});
  const Recipe joined = read(effective, {"data.train=" + at("heldout.txt")});
  EXPECT_TRUE(joined.data.sources.empty());
  EXPECT_EQ(joined.data.train, std::vector<std::string>{at("heldout.txt")});
  const std::string named =
      good_but("eval", "[[eval.text]]\nname = \"held-out\"\npath = \"heldout.txt\"");
  EXPECT_EQ(error_of(named), "(no error)");
  EXPECT_NE(error_of(named, {"data.held_out=0.1"}).find("eval.text: found a text called"),
            std::string::npos);
}

TEST_F(RecipeFile, TasksAreNamesWithADirectory) {
  const std::string tasks =
      "text = \"heldout.txt\"\ntasks_dir = \"teacher\"\ntask_limit = 5\ntasks = ";
  const Recipe r = read(good_but("eval", tasks + "[\"piqa\", \"boolq\"]"));
  EXPECT_EQ(r.eval.tasks, (std::vector<std::string>{"piqa", "boolq"}));
  EXPECT_EQ(r.eval.tasks_dir, at("teacher"));
  EXPECT_EQ(r.eval.task_limit, 5);
  EXPECT_EQ(write_recipe(read(write_recipe(r))), write_recipe(r));
  EXPECT_EQ(read(write_recipe(r), {"eval.tasks=arc_easy"}).eval.tasks,
            std::vector<std::string>{"arc_easy"});
  EXPECT_EQ(read(write_recipe(r), {"eval.tasks=[]"}).eval.tasks, std::vector<std::string>{});
}

TEST_F(RecipeFile, IntegersAreAcceptedForRealNumbers) {
  EXPECT_EQ(read(good_but("loss", "kl = 3")).loss.kl, 3.0);
}

TEST_F(RecipeFile, DeepTextInsideStringsAndCommentsIsNoNesting) {
  const std::string many(60, '[');
  EXPECT_EQ(read(kGood + "# " + many + std::string(60, '.') + "\n").run.name, "a");
  EXPECT_EQ(read(good_but("run", "name = '" + many + "'\nmethod = \"onebit\"")).run.name, many);
  EXPECT_EQ(
      read(good_but("run", "name = \"\"\"" + many + "\"\"\"\"\nmethod = \"onebit\"")).run.name,
      many + "\"");
}

TEST_F(RecipeFile, PretrainTakesAConfigAndATokenizerAndNoGeneratedText) {
  std::string text = kGood;
  text.replace(text.find("onebit"), 6, "pretrain");
  EXPECT_EQ(read(text).run.method, Method::pretrain);
  EXPECT_NE(error_of(text, {"teacher.model=" + at("bare")})
                .find("pretrain expects a directory with config.json"),
            std::string::npos);
  EXPECT_NE(error_of(text, {"data.generate.sequences=3"})
                .find("pretrain has no teacher to draw text from"),
            std::string::npos);
}

TEST_F(RecipeFile, OverridesAreTomlValuesAndBareWordsAreText) {
  const Recipe r =
      read(kGood, {"train.max_steps=7", "train.learning_rate=2e-3", "run.name=2024",
                   "student.ste=identity", "student.svid='nmf'", "data.generate.sequences=64",
                   "data.generate.greedy_prefix=[2, 4]", "eval.text=" + at("train.txt"),
                   "student.post_layer_norm=false", "data.train=" + at("heldout.txt")});
  EXPECT_EQ(r.train.max_steps, 7);
  EXPECT_EQ(r.train.learning_rate, 2e-3);
  EXPECT_EQ(r.run.name, "2024");
  EXPECT_EQ(r.student.ste, Ste::identity);
  EXPECT_EQ(r.student.svid, SvidMethod::nmf);
  EXPECT_TRUE(r.data.generate_present);
  EXPECT_EQ(r.data.generate.sequences, 64);
  EXPECT_EQ(r.data.generate.greedy_prefix, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(r.eval.text, at("train.txt"));
  EXPECT_EQ(r.data.train, std::vector<std::string>{at("heldout.txt")});
  EXPECT_FALSE(r.student.post_layer_norm);
  EXPECT_EQ(read(kGood, {"train.max_steps=7", "train.max_steps=8"}).train.max_steps, 8);
}

TEST_F(RecipeFile, AnOverrideSetsOneKeyAlone) {
  const std::string error = error_of(kGood, {"eval.context=512\nx = 3"});
  EXPECT_NE(error.find("--set: eval.context: found \"512\\\\x0ax = 3\""), std::string::npos)
      << error;
}

TEST_F(RecipeFile, TheTeacherAloneNeedsATextAndNoTraining) {
  const std::string alone =
      "[run]\nname = \"a\"\nmethod = \"none\"\n[teacher]\nmodel = \"teacher\"\n";
  EXPECT_EQ(read(alone + "[eval]\ntext = \"heldout.txt\"\n").run.method, Method::none);
  EXPECT_NE(error_of(alone).find("eval.text: missing, the method none only evaluates"),
            std::string::npos);
}

TEST_F(RecipeFile, TheEffectiveRecipeReadsBackTheSameToTheLastBit) {
  Recipe r = read(kGood, {"data.generate.sequences=64"});
  for (const double rate : {0.1, 1.0 / 3, 2e-3, 1e-30, 999.9999999999999, 5.0,
                            std::numeric_limits<double>::denorm_min(), 0.0}) {
    r.train.learning_rate = rate;
    const std::string text = write_recipe(r);
    const Recipe again = read(text);
    EXPECT_EQ(again.train.learning_rate, rate);
    EXPECT_EQ(write_recipe(again), text);
    EXPECT_EQ(recipe_sha256(again), recipe_sha256(r));
    EXPECT_TRUE(recipe_differences(r, again).empty());
  }
  EXPECT_NE(write_recipe(r).find("kl = 5.0\n"), std::string::npos);
  EXPECT_NE(write_recipe(read(kGood)).find("generate = false\n"), std::string::npos);
  EXPECT_FALSE(read(write_recipe(read(kGood))).data.generate_present);
}

TEST_F(RecipeFile, NamesWithQuotesAndOtherAlphabetsSurvive) {
  Recipe r = read(kGood);
  r.run.name = "\"a'b\xc3\xa9#";
  EXPECT_EQ(read(write_recipe(r)).run.name, r.run.name);
}

TEST_F(RecipeFile, DifferencesNameKeysAndBothValues) {
  const Recipe a = read(kGood);
  EXPECT_EQ(recipe_differences(a, read(kGood, {"train.max_steps=11", "student.ste=clipped"})),
            (std::vector<std::string>{"student.ste: \"tanh\" -> \"clipped\"",
                                      "train.max_steps: 10 -> 11"}));
  const auto with_table = recipe_differences(a, read(kGood, {"data.generate.sequences=9"}));
  EXPECT_EQ(with_table.back(), "data.generate: false -> (none)");
  EXPECT_EQ(with_table.front(), "data.generate.sequences: (none) -> 9");
  EXPECT_NE(recipe_sha256(a), recipe_sha256(read(kGood, {"loss.kl=5.000000001"})));
}

TEST(RecipeHelp, ListsEveryKeyWithDefaultAndRange) {
  const std::string help = recipe_help();
  for (const char* phrase : {"[run]", "[data.generate]", "  greedy_prefix ", "default [3, 5]",
                             "default 0.001, 0 .. 1000", "cosine | linear | constant", "  join "})
    EXPECT_NE(help.find(phrase), std::string::npos) << phrase << "\n" << help;
}

}  // namespace
}  // namespace halftone
