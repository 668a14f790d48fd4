// `compare` as a user calls it on a folder of runs, whole, unfinished and broken.
#include <nlohmann/json.hpp>

#include "app/program_testing.h"
#include "halftone/io/safetensors.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

class CompareTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    for (const char* name : {"a", "b"}) make_run(name);
  }

  void make_run(const std::string& name, const std::string& perplexity = "20.5") const {
    fs::create_directories(at(name));
    std::ofstream(at(name + "/result.json"))
        << R"({"name": ")" << name << R"(", "method": "rtn", "eval": {"perplexity": )" << perplexity
        << R"(, "teacher_perplexity": 20, "protocol": "hf", "context": 64, "windows": 2,
      "tokens": 900, "join": "none", "text_sha256": "ab"}, "agreement": {"kl": 0.1, "top1": 0.9},
      "bits": {"paper": 2, "linear": 2, "file": 4}, "bytes": {"model": 1000000},
      "seconds": {"total": 1}, "peak_rss_bytes": 1, "version": "1",
      "machine": {"cpu": "c", "isa": "i", "threads": 2, "blas": "b", "device": "cpu"}})";
    std::ofstream(at(name + "/recipe.toml")) << "[run]\nname = \"" << name << "\"\n";
    std::ofstream(at(name + "/log.jsonl")) << "{\"step\": 1, \"loss\": 2.5}\n";
  }

  std::string at(const std::string& name) const { return folder_ + "/" + name; }

  Output compare(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "compare");
    return program(arguments);
  }

  // Refused with the code and the phrase; every file is what it was.
  void expect_refused(int code, const std::string& phrase,
                      const std::vector<std::string>& arguments) const {
    const auto content = [&] {
      std::string all;
      for (const auto& entry : fs::recursive_directory_iterator(folder_))
        if (entry.is_regular_file() && entry.path().filename().string().find("std") != 0)
          all += entry.path().string() + read_whole(entry.path());
      return all;
    };
    const std::string before = content();
    const Output got = compare(arguments);
    EXPECT_EQ(got.code, code) << phrase << got.err;
    EXPECT_NE(got.err.find(phrase), std::string::npos) << got.err;
    EXPECT_EQ(got.out, "");
    EXPECT_EQ(content(), before) << phrase;
  }
};

TEST_F(CompareTest, NoFileOfARunIsOverwritten) {
  fs::create_symlink(at("a"), at("link"));
  fs::create_hard_link(at("a/result.json"), at("hard.html"));
  std::ofstream(at("a/model.h5")) << "x";
  for (const char* option : {"--html", "--csv"}) {
    for (const char* file : {"result.json", "log.jsonl", "recipe.toml", "model.h5", "new"})
      for (const char* run : {"a", "link", "b/../a", "a/."})
        expect_refused(2, option, {at("a"), at("b"), option, at(std::string(run) + "/" + file)});
    expect_refused(2, "which is " + at("a") + "/result.json",
                   {at("b"), at("a"), option, at("hard.html")});
    expect_refused(2, "a directory", {at("a"), option, at("b")});
    expect_refused(2, "no regular file", {at("a"), option, "/dev/null"});
    expect_refused(4, "there is no directory " + at("c"), {at("a"), option, at("c/x.html")});
  }
  expect_refused(2, "for both", {at("a"), "--html", at("x.html"), "--csv", at("b/../x.html")});
}

TEST_F(CompareTest, AnEarlierPageIsReplacedAlsoInARunDirectory) {
  for (int call = 0; call < 2; ++call) {
    const Output got =
        compare({at("a"), at("b"), "--html", at("a/page.html"), "--csv", at("table.csv")});
    EXPECT_EQ(got.code, 0) << got.err;
    EXPECT_NE(read_whole(at("a/page.html")).find("</html>"), std::string::npos);
    EXPECT_NE(read_whole(at("table.csv")).find("a,rtn,"), std::string::npos);
  }
}

TEST_F(CompareTest, WhatIsNoFinishedRunIsNamedAndLeftOut) {
  make_run("unfinished");
  fs::remove(at("unfinished/result.json"));
  fs::create_directories(at("cache"));
  std::ofstream(at("report.html")) << "page";
  std::ofstream(at("tokens-0.tok")) << "HTTOKENS";
  const Output got = compare({at("a"), at("cache"), at("unfinished"), at("report.html"),
                              at("tokens-0.tok"), at("b"), at("b/../a"), "--json"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_EQ(nlohmann::json::parse(got.out)["runs"].size(), 2u);
  for (const std::string& line :
       {at("unfinished") + ": left out: the run is not finished (no result.json)\n",
        at("cache") + ": left out: is no run directory\n",
        at("report.html") + ": left out: is no run directory\n",
        at("b/../a") + ": given twice, shown once\n"})
    EXPECT_NE(got.err.find(line), std::string::npos) << got.err;
  EXPECT_EQ(got.err.find("tokens-0.tok"), std::string::npos) << got.err;
}

TEST_F(CompareTest, NoFinishedRunAtAllOrADamagedOneIsExitThree) {
  make_run("unfinished");
  fs::remove(at("unfinished/result.json"));
  expect_refused(3, "at least one finished run", {at("unfinished")});
  expect_refused(3, "does not exist", {at("a"), at("mistyped")});
  std::ofstream(at("b/result.json")) << "{\"name\":";
  expect_refused(3, at("b/result.json"), {at("a"), at("b")});
}

TEST_F(CompareTest, BrokenModelsStandBesideTheOthers) {
  for (const char* value : {"\"Infinity\"", "\"NaN\"", "1e300", "0", "null"})
    make_run(std::string("broken-") + std::to_string(std::strlen(value)), value);
  const Output got = shell("$H compare " + folder_ + "/* --html " + folder_ + "/page.html");
  EXPECT_EQ(got.code, 0) << got.err;
  const std::string page = read_whole(at("page.html"));
  for (const char* label : {"broken-10 inf<", "broken-5 1e+300<", "broken-1 0<", "broken-4 nan<"})
    EXPECT_NE(page.find(label), std::string::npos) << label;
  EXPECT_LT(got.out.find("broken-10"), got.out.find("broken-4"));  // NaN last
}

// Logits that are not finite, in a run that quantises: its figures are its result.
TEST_F(CompareTest, ARunOfABrokenTeacherWritesItsResult) {
  make_teacher();
  Safetensors teacher = read_safetensors(at("teacher/model.safetensors"));
  Tensor& norm = teacher.tensors.at("model.norm.weight");
  norm = Tensor::full(norm.shape(), DType::f32, 3e38f);
  write_safetensors(at("teacher/model.safetensors"), teacher.tensors);
  std::ofstream(at("rtn.toml")) << "[run]\nname = \"rtn\"\nmethod = \"rtn\"\n[teacher]\nmodel = \""
                                << at("teacher") << "\"\n[calibration]\ntext = [\""
                                << HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt"
                                << "\"]\nnum_calibration_samples = 2\nmax_seq_length = 16\n"
                                << "[eval]\ntext = \"" HALFTONE_SOURCE_DIR
                                   "/recipes/quickstart/heldout.txt\"\ncontext = 16\n"
                                   "max_windows = 1\n";
  const Output run = program({"run", at("rtn.toml"), "--run-dir", at("rtn"), "--quiet"});
  EXPECT_EQ(run.code, 0) << run.err;
  const auto result = nlohmann::json::parse(read_whole(at("rtn/result.json")));
  EXPECT_EQ(result["eval"]["perplexity"], "NaN");
  EXPECT_EQ(result["eval"]["teacher_perplexity"], "NaN");
  EXPECT_EQ(compare({at("a"), at("rtn"), "--html", at("page.html")}).code, 0);
  const Output eval = program({"eval", at("rtn"), "--context", "16", "--max-windows", "1", "--json",
                               "--text", HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt"});
  EXPECT_EQ(nlohmann::json::parse(eval.out)["perplexity"], "NaN") << eval.err;
}

}  // namespace
}  // namespace halftone
