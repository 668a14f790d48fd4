#include "halftone/eval/result.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "halftone/io/json_numbers.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Result, ABrokenModelKeepsAllItsFigures) {
  RunResult run;
  Evaluation& eval = run.eval.texts.emplace_back().eval;
  eval.perplexity = kInfinity;
  eval.agreement = Agreement{.teacher_perplexity = kNan, .kl = 1e300};
  run.layers = {{"q_proj", kNan}};
  const nlohmann::json json = nlohmann::json::parse(result_json(run));
  EXPECT_EQ(json_number(json["eval"]["perplexity"]), kInfinity);
  EXPECT_TRUE(std::isnan(json_number(json["eval"]["teacher_perplexity"]).value()));
  EXPECT_EQ(json_number(json["agreement"]["kl"]), 1e300);
  EXPECT_EQ(json["layers"][0]["relative_error"], "NaN");
}

TEST(Result, ATeachersPerplexityOfZeroIsOne) {
  EvalResults results{.texts = {{.eval = {.perplexity = 5, .agreement = Agreement{}}}}};
  const auto json = nlohmann::json::parse(evaluation_json(results));
  EXPECT_EQ(json["teacher_perplexity"], 0);
  EXPECT_TRUE(json.contains("agreement"));
  results.texts[0].eval.agreement.reset();
  const auto alone = nlohmann::json::parse(evaluation_json(results));
  EXPECT_FALSE(alone.contains("teacher_perplexity"));
  EXPECT_FALSE(alone.contains("agreement"));
}

EvalResults two_texts() {
  EvalResults out;
  for (const char* name : {"wiki", "stories"}) {
    TextResult& text = out.texts.emplace_back();
    text.settings.name = name;
    text.settings.context = 64;
    text.eval.perplexity = out.texts.size() == 1 ? 20 : 8;
    text.eval.agreement = Agreement{.teacher_perplexity = 4, .kl = 0.5, .top1 = 0.75};
  }
  return out;
}

TEST(Result, OneTextIsWrittenAsItAlwaysWas) {
  RunResult run;
  run.eval.texts = {two_texts().texts[0]};
  const nlohmann::json json = nlohmann::json::parse(result_json(run));
  EXPECT_FALSE(json.contains("texts"));
  EXPECT_FALSE(json.contains("tasks"));
  EXPECT_FALSE(json["eval"].contains("name"));
  EXPECT_EQ(json["eval"].size(), 10u);
  EXPECT_EQ(json["agreement"]["kl"], 0.5);
}

TEST(Result, SeveralTextsStandInAListAndTheFirstInItsPlaceToo) {
  RunResult run;
  run.eval = two_texts();
  const nlohmann::json json = nlohmann::json::parse(result_json(run));
  EXPECT_EQ(json["eval"]["perplexity"], 20);
  ASSERT_EQ(json["texts"].size(), 2u);
  EXPECT_EQ(json["texts"][0]["name"], "wiki");
  EXPECT_EQ(json["texts"][1]["name"], "stories");
  EXPECT_EQ(json["texts"][1]["perplexity"], 8);
  EXPECT_EQ(json["texts"][1]["context"], 64);
  EXPECT_EQ(json["texts"][1]["agreement"]["top1"], 0.75);
  EXPECT_EQ(nlohmann::json::parse(evaluation_json(two_texts()))["texts"], json["texts"]);
}

TEST(Result, TasksStandWithTheirTeachersFiguresAndAverages) {
  RunResult run;
  TaskResult& piqa = run.eval.tasks.emplace_back();
  piqa = {.task = &task_named("piqa"), .documents = 2, .in_file = 9, .chance = 0.5};
  piqa.model = {.acc = {0.5, 0.1}, .acc_norm = Estimate{0.75, kNan}};
  piqa.teacher = {.acc = {0.75, 0.1}, .acc_norm = Estimate{1, 0.1}};
  TaskResult& words = run.eval.tasks.emplace_back();
  words = {.task = &task_named("lambada_openai")};
  words.model = {.acc = {0.25, 0.1}, .perplexity = Estimate{12, 1}};
  words.teacher = words.model;
  const nlohmann::json json = nlohmann::json::parse(result_json(run))["tasks"];
  EXPECT_EQ(json["bos"], "none");
  const nlohmann::json& first = json["results"][0];
  EXPECT_EQ(first["task"], "piqa");
  EXPECT_EQ(first["documents"], 2);
  EXPECT_EQ(first["in_file"], 9);
  EXPECT_EQ(first["acc_norm"], 0.75);
  EXPECT_EQ(first["acc_norm_stderr"], "NaN");
  EXPECT_EQ(first["teacher"]["acc_norm"], 1);
  EXPECT_FALSE(first.contains("perplexity"));
  EXPECT_EQ(json["results"][1]["perplexity"], 12);
  EXPECT_FALSE(json["results"][1].contains("acc_norm"));
  EXPECT_EQ(json["average"]["tasks"], 2);
  EXPECT_EQ(json["average"]["value"], 0.5);
  EXPECT_EQ(json["average"]["teacher"], 0.625);
  EXPECT_EQ(json["average"]["above_chance"], (0.5 - 0.25) / (0.625 - 0.25));
  EXPECT_FALSE(json.contains("onebit_average"));
}

TEST(Result, ASampleSaysWhatWasScoredAndChosen) {
  TaskDocuments task{.task = &task_named("piqa")};
  task.documents = {{{{"c", " a"}, {"c", " bb"}}, 1}};
  EXPECT_EQ(task_samples(task, {{{-1.5, false}, {-2.5, true}}}),
            "{\"task\":\"piqa\",\"document\":1,\"gold\":1,\"log_probabilities\":[-1.5,-2.5],"
            "\"greedy\":[false,true],\"acc_choice\":0,\"acc_norm_choice\":1}\n");
}

}  // namespace
}  // namespace halftone
