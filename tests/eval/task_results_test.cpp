#include "halftone/eval/task_results.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace halftone {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TaskDocuments task(const char* name, const std::vector<TaskDocument>& documents) {
  return {.task = &task_named(name), .documents = documents};
}

TaskDocument document(const std::vector<std::string>& choices, size_t gold) {
  TaskDocument out{.requests = {}, .gold = gold};
  for (const std::string& choice : choices) out.requests.push_back({"c", choice});
  return out;
}

TEST(TaskResults, AccTakesTheLikeliestAndAccNormTheLikeliestACharacter) {
  // A character a choice: 4 and 2 (of 4 bytes); -6 / 4 > -4 / 2.
  const TaskDocuments two = task("piqa", {document({" abcd", " \xc3\xa9\xc3\xa9"}, 0),
                                          document({" ab", "  a"}, 1)});  // 2 and 2
  const TaskScores scores{{{-6, false}, {-4, false}}, {{-3, false}, {-2, false}}};
  const Chosen first = chosen(two.documents[0], scores[0]);
  EXPECT_EQ(first.plain, 1u);
  EXPECT_EQ(first.normalised, 0u);
  const TaskFigures figures = task_figures(two, scores);
  EXPECT_DOUBLE_EQ(figures.acc.value, 0.5);
  EXPECT_DOUBLE_EQ(figures.acc_norm->value, 1);
  EXPECT_DOUBLE_EQ(figures.acc.standard_error, std::sqrt(0.5 / 1 / 2));
  EXPECT_DOUBLE_EQ(figures.acc_norm->standard_error, 0);
  EXPECT_DOUBLE_EQ(figures.headline().value, 1);
  EXPECT_FALSE(figures.perplexity);
  EXPECT_FALSE(task_figures(task("boolq", two.documents), scores).acc_norm);
}

TEST(TaskResults, BytesThatContinueACharacterDoNotCount) {
  // By bytes the second would be -4 / 4.
  const TaskDocument d = document({" abc", " \xc3\xa9\xc3\xa9"}, 0);
  EXPECT_EQ(chosen(d, {{-4.5, false}, {-4, false}}).normalised, 0u);
}

TEST(TaskResults, TheFirstOfEqualsIsChosenAndNothingBesideANan) {
  const TaskDocument d = document({" a", " b"}, 0);
  EXPECT_EQ(chosen(d, {{-4, false}, {-4, false}}).plain, 0u);
  const TaskScores broken{{{kNan, false}, {-4, false}}};
  EXPECT_FALSE(chosen(d, broken[0]).plain);
  EXPECT_EQ(task_figures(task("piqa", {d}), broken).acc.value, 0);
  EXPECT_EQ(task_figures(task("piqa", {document({" a", " b"}, 1)}), broken).acc_norm->value, 0);
}

TEST(TaskResults, LambadaCountsGreedyWordsAndTheirPerplexity) {
  const TaskDocuments words =
      task("lambada_openai", {document({" a"}, 0), document({" b"}, 0), document({" c"}, 0)});
  const TaskFigures figures = task_figures(words, {{{-1, true}}, {{-2, false}}, {{-3, false}}});
  EXPECT_DOUBLE_EQ(figures.acc.value, 1.0 / 3);
  EXPECT_DOUBLE_EQ(figures.perplexity->value, std::exp(2.0));
  EXPECT_DOUBLE_EQ(figures.perplexity->standard_error, std::exp(2.0) * std::sqrt(1.0 / 3));
  EXPECT_FALSE(figures.acc_norm);
  EXPECT_EQ(chance(words), 0);
}

TEST(TaskResults, ChanceIsTheMeanOfOneInTheChoices) {
  EXPECT_DOUBLE_EQ(
      chance(task("arc_easy", {document({" a", " b"}, 0), document({" a", " b", " c", " d"}, 0)})),
      0.375);
}

TaskResult result(const char* name, double acc, double teacher, double by_chance) {
  TaskResult out{.task = &task_named(name), .chance = by_chance};
  out.model.acc = {acc, 0.03};
  out.teacher.emplace().acc = {teacher, 0.04};
  return out;
}

TEST(TaskResults, AnAverageIsThePlainMeanOfTheTasks) {
  const TaskAverage both =
      *average({result("piqa", 0.6, 0.7, 0.5), result("arc_easy", 0.4, 0.6, 0.25)});
  EXPECT_EQ(both.tasks, 2);
  EXPECT_DOUBLE_EQ(both.model.value, 0.5);
  EXPECT_DOUBLE_EQ(both.model.standard_error, 0.03 / std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(both.teacher->value, 0.65);
  EXPECT_DOUBLE_EQ(both.chance, 0.375);
  EXPECT_DOUBLE_EQ(*both.above_chance(), 0.125 / 0.275);
  EXPECT_FALSE(average({}));
  EXPECT_FALSE(average({result("piqa", 0.6, 0.5, 0.5)})->above_chance());  // a guessing teacher
  TaskResult alone = result("piqa", 0.6, 0.7, 0.5);
  alone.teacher.reset();
  EXPECT_FALSE(average({alone})->teacher);
}

TEST(TaskResults, OneBitsAverageIsOfItsSixTasksWhereAllAreThere) {
  std::vector<TaskResult> results;
  for (const char* name : {"piqa", "openbookqa", "boolq", "arc_easy", "hellaswag", "winogrande"})
    results.push_back(result(name, 0.5, 0.5, 0.5));
  EXPECT_FALSE(onebit_average(results));
  results.push_back(result("arc_challenge", 0.8, 0.5, 0.5));
  EXPECT_EQ(onebit_average(results)->tasks, 6);
  EXPECT_DOUBLE_EQ(onebit_average(results)->model.value, (5 * 0.5 + 0.8) / 6);
}

}  // namespace
}  // namespace halftone
