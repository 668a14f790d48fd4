#include "halftone/report/run_record.h"

#include <gtest/gtest.h>

#include <stdlib.h>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "halftone/base/error.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const char* const kResult =
    R"({"name": "a<b>", "method": "gptq", "teacher": {"sha256": "00112233445566"},
"eval": {"perplexity": 21.5, "teacher_perplexity": 20.0, "protocol": "hf", "context": 256,
"windows": 3, "tokens": 800, "join": "none", "text_sha256": "abcdefabcdefabcdef"},
"agreement": {"kl": 0.5, "top1": 0.75}, "bits": {"paper": 2, "linear": 2.14, "file": 4.5},
"bytes": {"model": 1840000}, "seconds": {"total": 5.5}, "peak_rss_bytes": 100000000,
"machine": {"cpu": "c", "isa": "avx2", "threads": 2, "blas": "b", "device": "cpu"}, "version": "0.1.0",
"layers": [{"name": "model.layers.0.self_attn.q_proj", "relative_error": 0.25}]})";

class RunFolder : public ::testing::Test {
 protected:
  RunFolder() {
    char name[] = "/tmp/halftone-report-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~RunFolder() override { fs::remove_all(path_); }
  void write(const std::string& file, const std::string& text) {
    std::ofstream(path_ + "/" + file) << text;
  }
  std::string with(const std::string& from, const std::string& to) const {
    std::string text = kResult;
    return text.replace(text.find(from), from.size(), to);
  }
  std::string error() const {
    try {
      read_run(path_);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::format);
      return e.what();
    }
    return "no error";
  }
  std::string path_;
};

TEST_F(RunFolder, ReadsTheFiguresOfARun) {
  write("result.json", kResult);
  write("log.jsonl", "{\"step\": 1, \"loss\": 3.5}\n{\"step\": 2, \"loss\": 3.25}\n");
  const RunRecord run = read_run(path_);
  EXPECT_EQ(run.perplexity, 21.5);
  EXPECT_EQ(run.top1, 0.75);
  EXPECT_EQ(run.layers.at(0).second, 0.25);
  ASSERT_EQ(run.log.size(), 2u);
  EXPECT_EQ(run.log[1].loss, 3.25);
  EXPECT_FALSE(run.log[1].sign_flip_rate);
}

TEST_F(RunFolder, WithoutAResultIsNamed) {
  EXPECT_EQ(error(), path_ + ": no result.json; a finished run expected");
}

TEST_F(RunFolder, AFieldThatIsMissingOrWrongIsNamed) {
  write("result.json", with("\"linear\": 2.14", "\"other\": 2.14"));
  EXPECT_EQ(error(), path_ + "/result.json.bits.linear: missing");
  write("result.json", with("5.5", "\"soon\""));
  EXPECT_EQ(error(),
            path_ + "/result.json.seconds.total: found \"soon\", a finite number expected");
  write("result.json", with("[{", "[3, {"));
  EXPECT_EQ(error(), path_ + "/result.json.layers[0]: an object expected");
}

TEST_F(RunFolder, FiguresOfABrokenModelAreRead) {
  std::string text = with("21.5", "\"Infinity\"");
  text.replace(text.find("20.0"), 4, "\"NaN\"");
  text.replace(text.find("0.5,"), 4, "null,");
  text.replace(text.find("0.25"), 4, "\"-Infinity\"");
  write("result.json", text);
  write("log.jsonl", "{\"step\": 1, \"loss\": \"NaN\"}\n{\"step\": 2, \"loss\": 1e300}\n");
  const RunRecord run = read_run(path_);
  EXPECT_EQ(run.perplexity, kInfinity);
  EXPECT_TRUE(std::isnan(run.teacher_perplexity.value()));
  EXPECT_TRUE(std::isnan(run.kl.value()));
  EXPECT_EQ(run.layers.at(0).second, -kInfinity);
  EXPECT_TRUE(std::isnan(run.log.at(0).loss.value()));
  EXPECT_EQ(run.log.at(1).loss, 1e300);
  write("result.json", with("21.5", "\"much\""));
  EXPECT_EQ(error(), path_ + "/result.json.eval.perplexity: found \"much\", a number expected");
}

TEST_F(RunFolder, ALogIsReadUpToItsLastWholeLine) {
  write("result.json", kResult);
  const std::string whole = "{\"step\": 1, \"loss\": 3.5}\n{\"step\": 2, \"loss\": 3.25}";
  for (size_t size = 0; size <= whole.size(); ++size) {
    write("log.jsonl", whole.substr(0, size));
    EXPECT_EQ(read_run(path_).log.size(), (size >= 24) + (size == whole.size())) << size;
  }
  write("log.jsonl", "{\"step\": 1, \"lo\n{\"step\": 2, \"loss\": 3.25}\n");
  EXPECT_NE(error().find("log.jsonl:1: not valid JSON"), std::string::npos) << error();
}

TEST_F(RunFolder, ReadsFurtherTextsAndTasks) {
  write("result.json", with(R"("bits")", R"("texts": [
{"name": "first", "perplexity": 21.5, "protocol": "hf", "context": 256, "windows": 3, "tokens": 800,
 "join": "none", "text_sha256": "abcdefabcdefabcdef"},
{"name": "second", "perplexity": "Infinity", "teacher_perplexity": 7, "protocol": "hf",
 "context": 64, "windows": 3, "tokens": 80, "join": "none", "bos": "none",
 "text_sha256": "000000000000111111", "agreement": {"kl": 0.25, "top1": 0.5}}],
"tasks": {"bos": "none", "results": [
{"task": "piqa", "documents": 20, "in_file": 30, "sha256": "aaaaaaaaaaaabb", "acc": 0.5, "acc_norm": 0.75},
{"task": "boolq", "documents": 20, "in_file": 20, "sha256": "bbbbbbbbbbbbcc", "acc": 0.25}],
"average": {"value": 0.5, "above_chance": 0.3}, "onebit_average": {"value": 0.6, "above_chance": 0.4}},
"bits")"));
  const RunRecord run = read_run(path_);
  EXPECT_EQ(run.perplexity, 21.5);
  ASSERT_EQ(run.texts.size(), 2u);
  EXPECT_EQ(run.texts[1].first, "second");
  EXPECT_TRUE(std::isinf(*run.texts[1].second.perplexity));
  EXPECT_EQ(run.texts[1].second.kl, 0.25);
  EXPECT_FALSE(run.texts[0].second.kl);
  const TaskShares& shares = run.zero_shot;
  EXPECT_EQ(shares.tasks,
            (std::vector<std::pair<std::string, double>>{{"piqa", 0.75}, {"boolq", 0.25}}));
  EXPECT_EQ(shares.average, 0.5);
  EXPECT_EQ(shares.onebit_average, 0.6);
  EXPECT_EQ(shares.above_chance, 0.4);
  const auto protocol = [&](const std::string& key) {
    for (const auto& [name, value] : run.protocol)
      if (name == key) return value;
    return std::string("missing");
  };
  EXPECT_EQ(protocol("tasks"), "piqa, boolq");
  EXPECT_EQ(protocol("task piqa"), "text aaaaaaaaaaaa, the first 20 documents of 30, bos none");
  EXPECT_EQ(
      protocol("text second"),
      "protocol hf, context 64, windows 3, tokens 80, join none, bos none, text 000000000000");
}

TEST_F(RunFolder, FaultsOfTextsAndTasksNameTheirPlace) {
  write("result.json", with(R"("bits")", R"("texts": 3, "bits")"));
  EXPECT_EQ(error(), path_ + "/result.json.texts: a list expected");
  write("result.json",
        with(R"("bits")", R"("tasks": {"bos": "none", "results": [{"task": 3}]}, "bits")"));
  EXPECT_EQ(error(), path_ + "/result.json.tasks.results[0].task: found 3, a text expected");
}

}  // namespace
}  // namespace halftone
