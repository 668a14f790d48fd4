// What scores of a task's choices say together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halftone/eval/task_scores.h"

namespace halftone {

// The mean over documents; the standard error is the sample's standard deviation / sqrt(documents),
// NaN of one document.
struct Estimate {
  double value = 0, standard_error = 0;
};

// acc: the choice of the largest log-likelihood is the right one; acc_norm: of the largest
// log-likelihood / characters of the choice, Unicode ones, the space in front not counted. The
// first of equals is chosen; a document with a NaN is answered wrongly. LAMBADA: acc is the share
// of documents whose every token is the likeliest, perplexity exp(-mean log-likelihood of a
// document), its standard error to first order. (lm-evaluation-harness 0.4, multiple_choice and
// lambada_openai; it draws the last by bootstrap.)
struct TaskFigures {
  Estimate acc;
  std::optional<Estimate> acc_norm, perplexity;

  const Estimate& headline() const { return acc_norm ? *acc_norm : acc; }  // in averages
};
TaskFigures task_figures(const TaskDocuments& task, const TaskScores& scores);

// The choices that acc and acc_norm take; none with a NaN.
struct Chosen {
  std::optional<size_t> plain, normalised;
};
Chosen chosen(const TaskDocument& document, const std::vector<ChoiceScore>& scores);

// Of one who guesses: mean of 1 / choices, 0 of LAMBADA.
double chance(const TaskDocuments& task);

struct TaskResult {
  const Task* task = nullptr;
  int64_t documents = 0, in_file = 0;
  std::string sha256;  // of the file's text
  double chance = 0;
  TaskFigures model;
  std::optional<TaskFigures> teacher;
};

// The plain mean of the tasks' headlines; its standard error is that of independent ones.
struct TaskAverage {
  int64_t tasks = 0;
  double chance = 0;
  Estimate model;
  std::optional<Estimate> teacher;

  // (model - chance) / (teacher - chance): what is left of what the teacher does better than one
  // who guesses. None without a teacher, or where it is not above chance.
  std::optional<double> above_chance() const;
};
// None where there are no results.
std::optional<TaskAverage> average(const std::vector<TaskResult>& results);
// Of the six tasks of OneBit's table (winogrande, hellaswag, piqa, boolq, arc_easy, arc_challenge);
// none where one is missing.
std::optional<TaskAverage> onebit_average(const std::vector<TaskResult>& results);

}  // namespace halftone
