#include "halftone/report/comparison.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/number_text.h"
#include "report/report_testing.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using testing::record;

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
    for (const Column& column : comparison_columns({run}))
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

std::vector<std::string> keys(const std::vector<RunRecord>& runs) {
  std::vector<std::string> out;
  for (const Column& column : comparison_columns(runs)) out.push_back(column.key);
  return out;
}

TEST(Comparison, FurtherTextsHaveColumnsOfTheirOwn) {
  std::vector<RunRecord> runs{record("a", 11, 4), record("b", 12, 3)};
  const size_t usual = keys(runs).size();
  runs[1].texts = {{"wiki", {.perplexity = 12}},
                   {"a, b", {.perplexity = 9, .teacher_perplexity = 6, .kl = 0.5, .top1 = 0.25}}};
  const std::vector<std::string> all = keys(runs);
  ASSERT_EQ(all.size(), usual + 4);
  EXPECT_EQ(all[usual], "perplexity:a, b");
  EXPECT_NE(comparison_csv(runs).find(",\"perplexity:a, b\",\"ratio:a, b\","), std::string::npos);
  EXPECT_NE(comparison_csv(runs).find(",9,1.5,0.5,25\n"), std::string::npos)
      << comparison_csv(runs);
  EXPECT_NE(comparison_json(runs).find("\"perplexity:a, b\": 9.0"), std::string::npos);
  sort_runs(runs, "perplexity:a, b");
  EXPECT_EQ(runs[0].name, "b");
  // A text that is the first of one run only is a column too.
  runs[1].texts = {{"a, b", {.perplexity = 1}}, {"wiki", {.perplexity = 2}}};
  EXPECT_EQ(keys(runs).size(), usual + 8);
}

TEST(Comparison, TasksHaveTheirAverageAndAColumnEach) {
  std::vector<RunRecord> runs{record("a", 11, 4), record("b", 12, 3)};
  const size_t usual = keys(runs).size();
  runs[0].zero_shot = {.tasks = {{"piqa", 0.75}, {"boolq", 0.5}},
                       .average = 0.625,
                       .onebit_average = {},
                       .above_chance = 0.5};
  const std::vector<std::string> all = keys(runs);
  ASSERT_EQ(all.size(), usual + 5);
  EXPECT_EQ(std::vector<std::string>(all.begin() + static_cast<std::ptrdiff_t>(usual), all.end()),
            (std::vector<std::string>{"tasks", "onebit_tasks", "above_chance", "piqa", "boolq"}));
  const std::string csv = comparison_csv(runs);
  EXPECT_NE(csv.find(",62.5,,0.5,75,50\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",,,,,\n"), std::string::npos) << csv;
  runs[0].method = "none";
  EXPECT_NE(comparison_csv(runs).find(",62.5,,1,75,50\n"), std::string::npos);
}

TEST(Comparison, TasksOfOtherDocumentsAreFlagged) {
  std::vector<RunRecord> runs{record("a", {}, 4), record("b", {}, 3)};
  runs[0].protocol = {{"task piqa", "the first 200"}, {"text wiki", "0123"}};
  runs[1].protocol = {{"task piqa", "the first 100"}, {"text wiki", "4567"}};
  EXPECT_EQ(protocol_differences(runs),
            std::vector<std::string>{"eval task piqa: the first 100 in b, the first 200 in a; "
                                     "these tasks do not compare"});
  runs[0].perplexity = runs[1].perplexity = 5;
  EXPECT_EQ(protocol_differences(runs).size(), 2u);
}

}  // namespace
}  // namespace halftone
