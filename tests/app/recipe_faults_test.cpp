// What a recipe is refused for.
#include "app/recipe.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "app/recipe_testing.h"

namespace halftone {
namespace {

using namespace testing;

TEST_F(RecipeFile, NamesEveryKindOfFaultWithItsLineAndWhatIsExpected) {
  struct Case {
    std::string text;
    std::vector<std::string> phrases;
  };
  const std::string run = "name = \"a\"\nmethod = ";
  const std::vector<Case> cases = {
      {good_but("train", "max_stepz = 10"),
       {"r.toml:11: train.max_stepz: unknown key, did you mean max_steps?",
        "train.max_steps: missing"}},
      {good_but("train", "max_steps = 5\nqqqqqqqqqqqq = 1"),
       {":12: train.qqqqqqqqqqqq: unknown key, known are max_steps,"}},
      {kGood + "[trian]\nx = 1\n", {":12: trian: unknown section, did you mean train?"}},
      {kGood + "[ptq]\nbits = 9\n", {":13: ptq.bits: found 9, at most 8 expected"}},
      {kGood + "[ptq]\nnorm_tweak = { los = \"mse\" }\n",
       {":13: ptq.norm_tweak.los: unknown key, did you mean loss?"}},
      {"train = 5\n" + good_but("train", "").substr(0, kGood.find("[train]")),
       {":1: train: found 5, a table expected"}},
      {good_but("train", "max_steps = \"ten\""),
       {":11: train.max_steps: found \"ten\", a whole number expected"}},
      {good_but("train", "max_steps = 10.0"),
       {":11: train.max_steps: found 10.0, a whole number expected"}},
      {good_but("train", "max_steps = -1"), {"train.max_steps: found -1, at least 0 expected"}},
      {good_but("train", "max_steps = 9223372036854775807"),
       {"train.max_steps: found 9223372036854775807, at most"}},
      {good_but("train", "max_steps = 9223372036854775808"), {"r.toml:11: "}},
      {good_but("train", "max_steps = 1\nsave_total_limit = 0"),
       {"save_total_limit: found 0, at least 1 expected"}},
      {good_but("train", "max_steps = 1\nlearning_rate = nan"),
       {":12: train.learning_rate: found nan, 0 .. 1000 expected"}},
      {good_but("train", "max_steps = 1\nlearning_rate = inf"), {"train.learning_rate: found inf"}},
      {good_but("train", "max_steps = 1\nlearning_rate = -0.0"),
       {":12: train.learning_rate: found -0.0, 0 .. 1000"}},
      {good_but("train", "max_steps = 1\nlearning_rate = -1e-3"),
       {"train.learning_rate: found -0.001, 0 .. 1000"}},
      {good_but("train", "max_steps = 1\nlearning_rate = \"1e-3\""),
       {"learning_rate: found \"1e-3\", a number expected"}},
      {good_but("train", "max_steps = 1\nadam_beta1 = 1.0"), {"train.adam_beta1: found 1.0"}},
      {good_but("train", "max_steps = 1\nlr_scheduler_type = \"cosin\""),
       {"found \"cosin\", one of cosine, linear, constant expected, did you mean cosine?"}},
      {good_but("train", "max_steps = 1\nlr_scheduler_type = 3"),
       {"lr_scheduler_type: found 3, text in quotes expected"}},
      {good_but("train", "max_steps = 1\nnum_train_epochs = 2"),
       {":12: train.num_train_epochs: found 2.0 beside train.max_steps = 1, only one of the two "
        "expected"}},
      {good_but("train", "warmup_steps = 3"),
       {"train.max_steps: missing, train.max_steps or train.num_train_epochs"}},
      {good_but("train", "max_steps = 3\nshard_parameters = true"),
       {"train.gradient_checkpointing: found false beside train.shard_parameters = true, true "
        "expected"}},
      {good_but("train", "max_steps = 3\nwarmup_steps = 4"),
       {":12: train.warmup_steps: found 4, at most train.max_steps = 3 expected"}},
      {good_but("run", "method = \"onebit\""), {"run.name: missing"}},
      {good_but("run", "name = \"../x\"\nmethod = \"onebit\""),
       {"run.name: found \"../x\", one file name"}},
      {good_but("run", "name = \"a\""),
       {"run.method: missing, one of none, pretrain, onebit, rtn, xnor, gptq, billm, arb, arb-x, "
        "arb-rc expected"}},
      {good_but("run", run + "\"gptq\""),
       {"calibration.text: missing, text to calibrate on or data.generate expected"}},
      {good_but("run", run + "\"onebits\""), {"did you mean onebit?"}},
      {good_but("run", run + "\"onebit\"\ndevice = \"gpu\""),
       {"run.device: found \"gpu\", \"cpu\" or \"cuda:0\" expected"}},
      {good_but("run", run + "\"onebit\"\nseed = -1"), {"run.seed: found -1"}},
      {good_but("run", run + "\"onebit\"\noutput_dir = \"\""), {"run.output_dir: found \"\""}},
      {good_but("teacher", "model = \"nowhere\""),
       {"teacher.model: found ", "nowhere\", which does not exist"}},
      {good_but("teacher", ""), {"teacher.model: missing"}},
      {good_but("data", ""), {"data.train: missing, text to learn from or data.generate expected"}},
      {good_but("data", "train = [\"nope.txt\"]"),
       {"data.train: found ", "nope.txt\", which does not exist"}},
      {good_but("data", "train = [\"teacher\"]"), {"teacher\", a file expected"}},
      {good_but("data", "train = \"train.txt\""),
       {"data.train: found \"train.txt\", a list of paths expected"}},
      {good_but("data", "train = [1]"), {"data.train: found 1, a path expected"}},
      {good_but("data", "[[data.train]]\npath = \"train.txt\""),
       {"data.train: found a list, a list of paths expected"}},
      {good_but("data", "train = [\"train.txt\"]\n[[data.source]]\npath = \"train.txt\""),
       {":11: data.train: found beside [[data.source]], only one of the two expected"}},
      {good_but("data",
                "[[data.source]]\nweight = 0\n[[data.source]]\npath = \"no.txt\"\n"
                "typography = \"wiki\"\nwieght = 2"),
       {":12: data.source[0].weight: found 0, 1e-06 .. 1e+06 expected",
        ":11: data.source[0].path: missing, the path of a text expected",
        ":14: data.source[1].path: found ", "no.txt\", which does not exist",
        ":15: data.source[1].typography: found \"wiki\", one of as-is, wikitext expected",
        ":16: data.source[1].wieght: unknown key, did you mean weight?"}},
      {good_but("data", "train = [\"train.txt\"]\nheld_out = 0.6"),
       {"data.held_out: found 0.6, 0 .. 0.5 expected"}},
      {good_but("data", "generate = {sequences = 5, prefix = [{path = \"no.txt\"}]}"),
       {"data.generate.prefix[0].path: found "}},
      {good_but("data", "generate = {top_k = 5}"), {"data.generate.sequences: missing"}},
      {good_but("data", "generate = true"),
       {"data.generate: found true, a table or false expected"}},
      {good_but("data", "generate = {sequences = 5, greedy_prefix = [5, 3]}"),
       {"data.generate.greedy_prefix: found [5, 3], [least, greatest]"}},
      {good_but("data", "generate = {sequences = 5, greedy_prefix = [1, 2.5]}"),
       {"data.generate.greedy_prefix: found 2.5, a whole number expected"}},
      {good_but("data", "generate = {sequences = 5, temperatur = 1}"),
       {"data.generate.temperatur: unknown key, did you mean temperature?"}},
      {good_but("student", "post_layer_norm = 1"),
       {"student.post_layer_norm: found 1, true or false expected"}},
      {good_but("student", "post_layer_norm = false\nscale_group = 48"),
       {"student.scale_group: found 48, 0, 32, 64 or 128 expected"}},
      {good_but("student", "scale_group = 256"), {"student.scale_group: found 256, at most 128"}},
      {good_but("student", "scale_group = 64"),
       {"student.scale_group: found 64 beside student.post_layer_norm = true, 0 or "
        "student.post_layer_norm = false expected"}},
      {good_but("student", "foldable = true"),
       {"student.foldable: found true beside student.post_layer_norm = true, false or "
        "student.post_layer_norm = false expected"}},
      {good_but("student", "ste = [\"tanh\"]"),
       {"student.ste: found a list, text in quotes expected"}},
      {good_but("loss", "kl = 0\nhidden = 0"),
       {":13: loss.kl: found 0 for loss.kl, loss.hidden and loss.labels"}},
      {good_but("loss", "kl = {a = 1}"), {"loss.kl: found a table, a number expected"}},
      {good_but("eval", "text = \"gone.txt\""),
       {"eval.text: found ", "gone.txt\", which does not exist"}},
      {good_but("eval", "[[eval.text]]\npath = \"gone.txt\"\n[[eval.text]]\nname = \"x\""),
       {":12: eval.text[0].path: found ", "gone.txt\", which does not exist",
        "eval.text[1].path: missing, the path of a text expected"}},
      {good_but("eval", "[[eval.text]]\npath = \"heldout.txt\"\ncontxt = 3"),
       {":13: eval.text[0].contxt: unknown key, did you mean context?"}},
      {good_but("eval",
                "[[eval.text]]\npath = \"heldout.txt\"\n[[eval.text]]\npath = "
                "\"heldout.txt\""),
       {"eval.text: found two texts called \"heldout\", different names expected"}},
      {good_but("eval", "text = [\"heldout.txt\"]"),
       {"eval.text: found a list, text in quotes expected"}},
      {good_but("teacher", "[[teacher.model]]\nx = 1"),
       {"teacher.model: found a list, text in quotes expected"}},
      {good_but("eval", "tasks = [\"piqua\"]"),
       {"eval.tasks: found \"piqua\", of winogrande, ", "expected, did you mean piqa?"}},
      {good_but("eval", "tasks = [3]"), {"eval.tasks: found 3, of winogrande"}},
      {good_but("eval", "tasks = \"piqa\""), {"eval.tasks: found \"piqa\", a list of names"}},
      {good_but("eval", "tasks = [\"piqa\"]"), {"eval.tasks_dir: missing, the directory of"}},
      {good_but("eval", "tasks = [\"piqa\"]\ntasks_dir = \"heldout.txt\""),
       {"eval.tasks_dir: found ", "heldout.txt\", a directory expected"}},
      {good_but("eval", "tasks = [\"piqa\", \"piqa\"]\ntasks_dir = \"teacher\""),
       {"eval.tasks: found a task twice"}},
      {good_but("eval", "text = \"heldout.txt\"\ncontext = 1979-05-27"),
       {"eval.context: found 1979-05-27, a whole number"}},
      {kGood + "[train]\nmax_steps = 5\n", {"r.toml:12: "}},
      {kGood + "text = \"b\"\n", {"r.toml:12: "}},
      {kGood + "x = \n", {"r.toml:12: "}},
      {kGood + "x = \"\xff\"\n", {"r.toml:12: "}},
      {std::string("a = 1\0", 6), {"r.toml:1: "}},
      {"x = " + std::string(100000, '['), {"r.toml:1: nested deeper than 32 levels"}},
      {"\nx = " + std::string(33, '{'), {"r.toml:2: nested deeper than 32 levels"}},
      {"\n\na" +
           [] {
             std::string s;
             for (int i = 0; i < 100000; ++i) s += ".a";
             return s;
           }() +
           " = 1",
       {"r.toml:3: nested deeper than 32 levels"}},
      {"a = \"\"\"x \\\n y\"\"\"\nb = " + std::string(50, '['),
       {"r.toml:3: nested deeper than 32 levels"}},
      {"a = [\"\"\"x\"\"\"\"," + std::string(50, '['), {"r.toml:1: nested deeper than 32 levels"}},
      {"a = [\"\\\"\"," + std::string(50, '['), {"r.toml:1: nested deeper than 32 levels"}},
      {std::string((1 << 20) + 1, '#'), {"found 1048577 bytes, at most 1048576 expected"}},
  };
  EXPECT_GE(cases.size(), 50u);
  for (const Case& c : cases) {
    const std::string error = error_of(c.text);
    for (const std::string& phrase : c.phrases)
      EXPECT_NE(error.find(phrase), std::string::npos)
          << "expected: " << phrase << "\nfound: " << error << "\nin:\n"
          << c.text.substr(0, 500);
  }
}

TEST_F(RecipeFile, ReportsAllFaultsAtOnceAndEachOnce) {
  const std::string error = error_of(
      "[run]\nname = 3\nmethod = \"gtpq\"\n[train]\nmax_steps = -1\nlr = 1\n[loss]\nkl = nan\n");
  for (const char* key : {"run.name: found 3", "run.method: found", "teacher.model: missing",
                          "train.max_steps: found -1", "train.lr: unknown", "loss.kl: found nan"}) {
    const size_t first = error.find(key);
    EXPECT_NE(first, std::string::npos) << key << "\n" << error;
  }
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n') + 1, 6) << error;
}

TEST_F(RecipeFile, ACachedTeacherNeedsALossOnItsLogitsAndNoneOnItsHiddenStates) {
  const std::string cached = good_but("teacher", "model = \"teacher\"\ncache_top_k = 8");
  EXPECT_EQ(read(cached, {"loss.hidden=0"}).teacher.cache_top_k, 8);
  EXPECT_EQ(read(kGood).teacher.cache_top_k, 0);
  const std::string at_key = "r.toml:12: teacher.cache_top_k: ";
  const auto expect_one_fault = [&](const std::vector<std::string>& overrides,
                                    const std::string& fault) {
    const std::string error = error_of(cached, overrides);
    EXPECT_NE(error.find(at_key + fault), std::string::npos) << error;
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 0) << error;
  };
  expect_one_fault({}, "found 8 beside loss.hidden = 1.0, 0 expected for one of the two");
  expect_one_fault({"loss.hidden=0", "loss.kl=0", "loss.labels=1"},
                   "found 8 beside loss.kl = 0, 0 expected");
  expect_one_fault({"loss.hidden=0", "run.method=pretrain"},
                   "found 8, 0 expected: the method pretrain does not learn from the teacher's");
  EXPECT_NE(error_of(kGood, {"teacher.cache_top_k=4097"})
                .find("--set: teacher.cache_top_k: found 4097, at most 4096 expected"),
            std::string::npos);
}

TEST_F(RecipeFile, FaultsOfOverridesAreReportedAsSuch) {
  const std::string error =
      error_of(kGood, {"train.max_step=7", "nonsense", "train=3", "train..x=1", "loss.kl=nan",
                       "lost.kl=1", "eval.context=many\neval.x=3", "data.max_seq_length=[[[[", "=",
                       "data.generate.seqs=2"});
  for (const char* phrase :
       {"--set: train.max_step: unknown key, did you mean max_steps?",
        "--set: found \"nonsense\", section.key=value", "--set: found \"train=3\"",
        "--set: found \"train..x=1\"", "--set: loss.kl: found nan",
        "--set: lost: unknown section, did you mean loss?",
        "--set: eval.context: found \"many\\\\x0aeval.x=3\"",
        "--set: data.max_seq_length: found \"[[[[\"", "--set: found \"=\"",
        "--set: data.generate.seqs: unknown key", "--set: data.generate.sequences: missing"})
    EXPECT_NE(error.find(phrase), std::string::npos) << phrase << "\n" << error;
}

TEST_F(RecipeFile, OnlyRegularFilesAreRead) {
  const auto error = [&](const std::string& path) -> std::string {
    try {
      read_recipe(path);
    } catch (const Error& e) {
      return e.kind() == ErrorKind::recipe ? e.what() : "wrong kind";
    }
    return "(no error)";
  };
  EXPECT_NE(error(at("teacher")).find("found a directory, a recipe file expected"),
            std::string::npos);
  EXPECT_NE(error(at("nothing.toml")).find("cannot be read"), std::string::npos);
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_NE(error(at("pipe")).find("no regular file"), std::string::npos);
}

}  // namespace
}  // namespace halftone
