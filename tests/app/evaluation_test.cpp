// Texts and zero-shot tasks, as `eval`, `run` and `compare` show them.
#include <cmath>
#include <nlohmann/json.hpp>

#include "app/program_testing.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

class EvaluationTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    std::filesystem::create_directories(tasks_);
    write(
        "piqa",
        R"({"context": "Once upon a time there was a little girl. She", "choices": [" was happy.", " purple the of."], "gold": 0}
{"context": "The dog ran to the", "choices": [" park.", " quickly went."], "gold": 1}
{"context": "Tom was", "choices": [" sad.", " a the."], "gold": 0}
)");
    write("lambada_openai",
          R"({"context": "The little girl was very", "choices": [" happy"], "gold": 0}
{"context": "The little girl was very", "choices": [" purple"], "gold": 0}
)");
    std::ofstream(folder_ + "/other.txt") << read_whole(text_).substr(2000, 6000);
  }
  void write(const std::string& task, const std::string& lines) {
    std::ofstream(tasks_ + "/" + task + ".jsonl") << lines;
  }
  Json eval(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"eval", teacher_, "--json", "--quiet"});
    const Output got = program(arguments);
    EXPECT_EQ(got.code, 0) << got.err;
    return Json::parse(got.out, nullptr, false);
  }
  std::string error(int code, std::vector<std::string> arguments) const {
    const Output got = program(arguments);
    EXPECT_EQ(got.code, code) << got.err;
    EXPECT_EQ(got.out, "");
    return got.err;
  }
  const std::string teacher_ = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher";
  const std::string text_ = HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt";
  std::string tasks_ = ::testing::TempDir() + "program-" + std::to_string(getpid()) + "/tasks";
};

TEST_F(EvaluationTest, EvalScoresTasksAndWritesEachDocument) {
  const std::string samples = folder_ + "/samples.jsonl";
  const Json json =
      eval({"--tasks", "piqa,lambada_openai", "--tasks-dir", tasks_, "--samples", samples});
  EXPECT_FALSE(json.contains("perplexity"));
  const Json& piqa = json["tasks"]["results"][0];
  EXPECT_EQ(piqa["task"], "piqa");
  EXPECT_EQ(piqa["documents"], 3);
  EXPECT_DOUBLE_EQ(piqa["acc"], 2.0 / 3);
  EXPECT_EQ(json["tasks"]["results"][1]["acc"], 0.5);
  std::istringstream lines(read_whole(samples));
  std::vector<Json> read;
  for (std::string line; std::getline(lines, line);) read.push_back(Json::parse(line));
  ASSERT_EQ(read.size(), 5u);
  EXPECT_EQ(read[1]["acc_choice"], 0);
  EXPECT_EQ(read[1]["gold"], 1);
  EXPECT_EQ(read[3]["greedy"], Json({true}));
  EXPECT_EQ(read[4]["greedy"], Json({false}));
  const double mean = (read[3]["log_probabilities"][0].get<double>() +
                       read[4]["log_probabilities"][0].get<double>()) /
                      2;
  EXPECT_NEAR(json["tasks"]["results"][1]["perplexity"].get<double>() / std::exp(-mean), 1, 1e-9);

  const Output table = program(
      {"eval", teacher_, "--tasks", "piqa", "--tasks-dir", tasks_, "--task-limit", "2", "--quiet"});
  EXPECT_NE(table.out.find("piqa                    2 of 3   50.00 ± 50.00"), std::string::npos)
      << table.out;
}

TEST_F(EvaluationTest, EvalMeasuresEachTextAsItDoesAlone) {
  const std::string other = folder_ + "/other.txt";
  const std::vector<std::string> how{"--context", "64", "--max-windows", "2"};
  const auto with = [&](std::vector<std::string> texts) {
    texts.insert(texts.end(), how.begin(), how.end());
    return eval(texts);
  };
  const Json first = with({"--text", text_}), second = with({"--text", other}),
             both = with({"--text", text_, "--text", other});
  EXPECT_EQ(both["perplexity"], first["perplexity"]);
  EXPECT_EQ(both["texts"][0]["perplexity"], first["perplexity"]);
  EXPECT_EQ(both["texts"][1]["perplexity"], second["perplexity"]);
  EXPECT_EQ(both["texts"][1]["name"], "other");
  EXPECT_FALSE(first.contains("texts"));
}

TEST_F(EvaluationTest, TheDtypeF32TakesQuantisedMatricesOfAGgufFileUnrounded) {
  const std::string gguf = folder_ + "/q8_0.gguf";
  ASSERT_EQ(
      program({"export", teacher_, "--format", "gguf", "--embedding-type", "q8_0", "--out", gguf})
          .code,
      0);
  const auto perplexity = [&](const char* dtype) {
    const Output got = program({"eval", gguf, "--text", text_, "--context", "64", "--max-windows",
                                "2", "--dtype", dtype, "--json", "--quiet"});
    EXPECT_EQ(got.code, 0) << got.err;
    return Json::parse(got.out)["perplexity"].get<double>();
  };
  const double rounded = perplexity("auto"), whole = perplexity("f32");
  EXPECT_NE(rounded, whole);
  EXPECT_NEAR(rounded / whole, 1, 1e-3);
  EXPECT_EQ(perplexity("f16"), rounded);
  const Output plain =
      program({"eval", gguf, "--text", text_, "--context", "64", "--max-windows", "2", "--json"});
  EXPECT_EQ(Json::parse(plain.out)["perplexity"], whole);
}

TEST_F(EvaluationTest, FaultsOfTheCommandLineAreNamed) {
  const std::vector<std::string> tasks{"eval", teacher_, "--quiet", "--tasks"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> out = tasks;
    out.insert(out.end(), more.begin(), more.end());
    return out;
  };
  EXPECT_NE(error(2, {"eval", teacher_}).find("--text or --tasks expected"), std::string::npos);
  EXPECT_NE(error(2, with({"piqa"})).find("--tasks-dir expected"), std::string::npos);
  EXPECT_NE(error(2, with({"mmlu", "--tasks-dir", tasks_})).find("mmlu"), std::string::npos);
  EXPECT_NE(error(3, with({"boolq", "--tasks-dir", tasks_})).find("/boolq.jsonl: does not exist"),
            std::string::npos);
  EXPECT_NE(error(2, with({"piqa,piqa", "--tasks-dir", tasks_})).find("found a task twice"),
            std::string::npos);
  write("boolq", "{}\n");
  EXPECT_NE(
      error(3, with({"boolq", "--tasks-dir", tasks_})).find("/boolq.jsonl:1: context is missing"),
      std::string::npos);
  EXPECT_NE(error(4, with({"piqa", "--tasks-dir", tasks_, "--samples", folder_ + "/no/s"}))
                .find("there is no directory"),
            std::string::npos);
  EXPECT_NE(error(2, {"eval", teacher_, "--text", text_, "--text", text_})
                .find("found two files called heldout"),
            std::string::npos);
  EXPECT_NE(error(2, {"eval", teacher_, "--text", text_, "--device", "tpu"}).find("tpu"),
            std::string::npos);
}

TEST_F(EvaluationTest, ARunMeasuresItsTeacherTooAndComparesWithIt) {
  const auto recipe = [&](const std::string& name, const std::string& method) {
    std::ofstream(folder_ + "/" + name + ".toml")
        << "[run]\nname = \"" << name << "\"\nmethod = \"" << method << "\"\noutput_dir = \""
        << folder_ << "\"\n[teacher]\nmodel = \"" << teacher_
        << "\"\n[ptq]\nbits = 3\n[calibration]\ntext = [\"" << text_
        << "\"]\nnum_calibration_samples = 2\nmax_seq_length = 64\n[eval]\ncontext = 64\n"
           "max_windows = 2\ntasks = [\"piqa\"]\ntasks_dir = \"tasks\"\n[[eval.text]]\npath = \""
        << text_ << "\"\n[[eval.text]]\nname = \"second\"\npath = \"other.txt\"\n";
    const Output got = program({"run", folder_ + "/" + name + ".toml", "--json", "--quiet"});
    EXPECT_EQ(got.code, 0) << got.err;
    return Json::parse(got.out, nullptr, false);
  };
  const Json none = recipe("none", "none"), rtn = recipe("rtn", "rtn");
  for (const size_t i : {0u, 1u}) {
    EXPECT_EQ(rtn["texts"][i]["teacher_perplexity"], none["texts"][i]["perplexity"]);
    EXPECT_GT(rtn["texts"][i]["agreement"]["kl"], 0);
    EXPECT_FALSE(none["texts"][i].contains("agreement"));
  }
  const Json& taught = rtn["tasks"]["results"][0];
  EXPECT_EQ(taught["teacher"]["acc"], none["tasks"]["results"][0]["acc"]);
  EXPECT_FALSE(none["tasks"]["results"][0].contains("teacher"));
  // What the run left is evaluated to the same figures.
  const Output again = program(
      {"eval", folder_ + "/rtn", "--tasks", "piqa", "--tasks-dir", tasks_, "--json", "--quiet"});
  EXPECT_EQ(Json::parse(again.out)["tasks"]["results"][0]["acc"], taught["acc"]);

  const Output compared = program({"compare", folder_ + "/none", folder_ + "/rtn", "--json"});
  ASSERT_EQ(compared.code, 0) << compared.err;
  const Json rows = Json::parse(compared.out);
  EXPECT_EQ(rows["warnings"], Json::array());
  for (const Json& row : rows["runs"]) {
    const Json& of = row["run"] == "rtn" ? rtn : none;
    EXPECT_EQ(row["perplexity:second"], of["texts"][1]["perplexity"]);
    EXPECT_EQ(row["tasks"], 100 * of["tasks"]["average"]["value"].get<double>());
    EXPECT_EQ(row["piqa"], row["tasks"]);
  }
}

}  // namespace
}  // namespace halftone
