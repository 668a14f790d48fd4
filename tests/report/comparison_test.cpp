#include "halftone/report/comparison.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "halftone/base/error.h"
#include "halftone/report/html_page.h"
#include "halftone/report/svg_chart.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

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

RunRecord record(const std::string& name, std::optional<double> perplexity, double bits) {
  RunRecord run{.name = name, .method = "rtn", .perplexity = perplexity};
  run.teacher_perplexity = perplexity ? std::optional(10.0) : std::nullopt;
  run.bits_linear = bits;
  run.protocol = {{"text", "same"}};
  return run;
}

TEST(Comparison, SortsByAColumnWithRunsThatLackItLast) {
  std::vector<RunRecord> runs{record("none", {}, 1), record("b", 12, 3), record("a", 11, 4)};
  sort_runs(runs, "perplexity");
  EXPECT_EQ(runs[0].name, "a");
  EXPECT_EQ(runs[2].name, "none");
  sort_runs(runs, "bits_linear");
  EXPECT_EQ(runs[0].name, "none");
  EXPECT_THROW(sort_runs(runs, "beauty"), Error);
}

TEST(Comparison, ARunWithoutAnEvaluationShowsADash) {
  const std::string table = comparison_table({record("x", {}, 1)});
  EXPECT_NE(table.find(" - "), std::string::npos);
  EXPECT_EQ(comparison_csv({record("x", {}, 1)}).find("nan"), std::string::npos);
}

TEST(Comparison, TheRatioIsToTheTeacherOfTheRun) {
  EXPECT_NE(comparison_table({record("x", 12.5, 1)}).find("1.250"), std::string::npos);
}

TEST(Comparison, CsvQuotesWhatHoldsCommas) {
  EXPECT_NE(comparison_csv({record("a,\"b", 12, 1)}).find("\"a,\"\"b\","), std::string::npos);
}

TEST(Comparison, RunsOnDifferentTextsAreFlagged) {
  std::vector<RunRecord> runs{record("a", 11, 4), record("b", 12, 3)};
  EXPECT_TRUE(protocol_differences(runs).empty());
  runs[1].protocol = {{"text", "other"}};
  ASSERT_EQ(protocol_differences(runs).size(), 1u);
  EXPECT_NE(protocol_differences(runs)[0].find("other in b"), std::string::npos);
}

TEST(SvgChart, TicksAreRoundAndCoverTheRange) {
  EXPECT_EQ(round_ticks(0, 10, false), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(round_ticks(9, 60, true), (std::vector<double>{10, 20, 50}));
}

TEST(SvgChart, LeavesOutWhatALogAxisCannotShow) {
  Chart chart{.log_y = true, .series = {{.name = "s", .points = {{1, 0}, {2, -3}}}}};
  EXPECT_EQ(svg_chart(chart), "");
  chart.series[0].points.push_back({3, 5});
  EXPECT_EQ(svg_chart(chart).find("nan"), std::string::npos);
  EXPECT_NE(svg_chart(chart), "");
}

TEST(HtmlPage, EscapesWhatComesFromFilesAndNeedsNoNetwork) {
  RunRecord run = record("<script>alert(1)</script>", 12, 1);
  run.log = {{.step = 1, .loss = 2.0}, {.step = 2, .loss = 1.0}};
  run.layers = {{"model.layers.0.mlp.up_proj", 0.1}, {"model.layers.1.mlp.up_proj", 0.2}};
  const std::string page = html_page({run, record("b", 13, 2)});
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
  for (const char* part : {"&lt;script&gt;", "up_proj", "loss", "Against true bits"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace halftone
