#include "halftone/report/comparison.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "halftone/base/error.h"
#include "halftone/base/number_text.h"
#include "halftone/base/rng.h"
#include "halftone/report/html_page.h"
#include "halftone/report/svg_chart.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

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

TEST(Comparison, NanSortsBehindAllNumbersAndBeforeRunsWithoutTheFigure) {
  std::vector<RunRecord> runs;
  for (const double x : {kNan, 20.0, kInfinity, 0.0, kNan, 1e300})
    runs.push_back(record(fixed_text(x, 0), x, 1));
  runs.insert(runs.begin() + 2, record("none", {}, 1));
  sort_runs(runs, "perplexity");
  std::string names;
  for (const RunRecord& run : runs) names += run.name + " ";
  EXPECT_EQ(names, "0 20 1e+300 inf nan nan none ");
}

TEST(Comparison, TheRatioOfABrokenModelIsPrintedAsItIs) {
  const auto cell = [](const RunRecord& run, const std::string& key) {
    for (const Column& column : comparison_columns())
      if (column.key == key) return cell_text(column, run);
    return std::string("no such column");
  };
  RunRecord run = record("x", kInfinity, 1);
  EXPECT_EQ(cell(run, "ratio"), "inf");
  run.teacher_perplexity = kInfinity;
  EXPECT_EQ(cell(run, "ratio"), "nan");
  EXPECT_EQ(cell(run, "perplexity"), "inf");
  EXPECT_NE(comparison_csv({run}).find(",Infinity,NaN,"), std::string::npos);
  EXPECT_NE(comparison_json({run}).find("\"perplexity\": \"Infinity\""), std::string::npos);
  EXPECT_EQ(cell(record("x", 1e300, 1), "perplexity"), "1.000e+300");
  run.method = "none";
  run.perplexity = 20;
  EXPECT_EQ(cell(run, "ratio"), "1.000");
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

// No tag holds a number that is not finite, or one so large that it is written with an exponent.
void expect_numbers_inside(const std::string& svg) {
  for (const char* bad : {"nan", "inf", "e+", "e-"})
    for (size_t at = svg.find(bad); at != std::string::npos; at = svg.find(bad, at + 1))
      if (svg.rfind('<', at) > svg.rfind('>', at)) ADD_FAILURE() << svg.substr(at - 40, 80);
}

Chart broken_chart() {
  Chart chart{.title = "c", .log_y = true};
  for (const auto& [name, y] : std::vector<std::pair<std::string, double>>{{"good", 20},
                                                                           {"better", 18},
                                                                           {"huge", 1e300},
                                                                           {"endless", kInfinity},
                                                                           {"undefined", -kNan},
                                                                           {"nothing", 0},
                                                                           {"below", -kInfinity}})
    chart.series.push_back({.name = name,
                            .points = {{static_cast<double>(chart.series.size()), y}},
                            .line = false,
                            .markers = true,
                            .labelled = true});
  return chart;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(SvgChart, WhatItsAxisCannotShowIsAnArrowWithTheValue) {
  const std::string svg = svg_chart(broken_chart());
  expect_numbers_inside(svg);
  for (const char* label : {">good<", ">huge 1e+300<", ">endless inf<", ">undefined nan<",
                            ">nothing 0<", ">below -inf<"})
    EXPECT_NE(svg.find(label), std::string::npos) << label;
  EXPECT_EQ(count(svg, "<path class='line s"), 5u) << svg;
  EXPECT_EQ(count(svg, "V13.0m-4 6l4 -6l4 6'"), 3u);    // at the upper edge
  EXPECT_EQ(count(svg, "V295.0m-4 -6l4 6l4 -6'"), 2u);  // at the lower one
  EXPECT_NE(svg.find("'>20<"), std::string::npos);      // the axis is that of the good ones
  EXPECT_EQ(svg.find("'>100<"), std::string::npos);
}

TEST(SvgChart, TheTeachersLineMayBeBeyondTheAxisToo) {
  Chart chart = broken_chart();
  chart.level_name = "teacher";
  for (const double y : {kNan, kInfinity, 1e300, 0.0}) {
    chart.level = y;
    expect_numbers_inside(svg_chart(chart));
    EXPECT_NE(svg_chart(chart).find(">teacher "), std::string::npos);
    EXPECT_EQ(svg_chart(chart).find("class='level'"), std::string::npos);
  }
  chart.level = 17;
  EXPECT_NE(svg_chart(chart).find("class='level'"), std::string::npos);
}

TEST(SvgChart, ALineBreaksWhereItLeavesTheAxis) {
  const Chart chart{
      .log_y = true,
      .series = {{.name = "s", .points = {{1, 3}, {2, 2}, {3, kNan}, {4, kNan}, {5, 2}, {6, 1}}}}};
  const std::string svg = svg_chart(chart);
  expect_numbers_inside(svg);
  const size_t path = svg.find("<path class='line s0' d='M");
  const std::string drawn = svg.substr(path, svg.find("'/>", path) - path);
  EXPECT_EQ(count(drawn, "M"), 2u) << drawn;
  EXPECT_EQ(count(drawn, "L"), 2u) << drawn;
  EXPECT_NE(svg.find("s (nan at 3)"), std::string::npos);
}

TEST(SvgChart, APointOfALineWithoutNeighboursIsAMarker) {
  const Chart chart{.series = {{.name = "s", .points = {{1, 3}, {2, kNan}, {3, 2}, {4, 2}}}}};
  EXPECT_EQ(count(svg_chart(chart), "<circle"), 2u);  // it, and the legend's
}

TEST(SvgChart, NothingThatItsAxesCanShowIsNoChart) {
  Chart chart{.log_y = true, .series = {{.name = "s", .points = {{1, 0}, {2, kNan}}}}};
  EXPECT_EQ(svg_chart(chart), "");
  chart.series[0].points.push_back({3, 5});
  EXPECT_NE(svg_chart(chart), "");
}

TEST(SvgChart, AWideRangeWithoutGapsIsShownWhole) {
  Chart chart{.log_y = true, .series = {{.name = "s"}}};
  for (int i = 0; i <= 10; ++i) chart.series[0].points.emplace_back(i, std::pow(10, -i));
  EXPECT_EQ(svg_chart(chart).find("m-4"), std::string::npos);
}

TEST(SvgChart, NoNumbersBreakIt) {
  const double largest = std::numeric_limits<double>::max();
  const std::vector<double> values{
      kNan, kInfinity, -kInfinity, 0,      -0.0,  5e-324, 1e-300, 1e300,     largest, -largest, 1,
      20,   1 + 1e-15, 2,          -1e300, 1e-12, 1e12,   1e17,   1e17 + 64, -5,      1e6};
  Rng rng(1, RngStream::test);
  for (int i = 0; i < 3000; ++i) {
    SCOPED_TRACE(i);
    Chart chart{.log_y = rng.below(2) == 0, .most_over_median = 1e3, .level_name = "l"};
    if (rng.below(2)) chart.level = values[rng.below(values.size())];
    for (uint64_t n = rng.below(4); n > 0; --n) {
      chart.series.push_back({.name = "s", .markers = true, .labelled = rng.below(2) == 0});
      for (uint64_t k = rng.below(5); k > 0; --k)
        chart.series.back().points.emplace_back(values[rng.below(values.size())],
                                                values[rng.below(values.size())]);
    }
    expect_numbers_inside(svg_chart(chart));
  }
}

TEST(SvgChart, OfAMillionPointsItDrawsTheExtremesOfEachColumn) {
  Chart chart{.log_y = true, .series = {{.name = "s"}}};
  for (int i = 0; i < 1000000; ++i)
    chart.series[0].points.emplace_back(i, i == 777777 ? 50 : i % 1000 ? 2 + i % 2 : kNan);
  const std::string svg = svg_chart(chart);
  EXPECT_LT(svg.size(), 60000u);
  EXPECT_NE(svg.find("'>50<"), std::string::npos);  // one point in a million made the axis
  EXPECT_EQ(count(svg, " 27.2"), 1u) << "and is drawn";
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
