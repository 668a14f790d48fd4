#include "halftone/eval/task_results.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace halftone {
namespace {

Estimate estimate(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

// Of a value for each document.
Estimate over_documents(
    const TaskDocuments& task, const TaskScores& scores,
    const std::function<double(const TaskDocument&, const std::vector<ChoiceScore>&)>& value) {
  std::vector<double> values;
  for (size_t d = 0; d < scores.size(); ++d) values.push_back(value(task.documents[d], scores[d]));
  return estimate(values);
}

// The space between context and choice is no part of the choice.
double characters(std::string_view choice) {
  if (choice.starts_with(' ')) choice.remove_prefix(1);
  return static_cast<double>(
      std::ranges::count_if(choice, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::optional<size_t> largest(const std::vector<double>& values) {
  if (std::ranges::any_of(values, [](double value) { return std::isnan(value); })) return {};
  return static_cast<size_t>(std::ranges::max_element(values) - values.begin());
}

Estimate mean(const std::vector<TaskResult>& results,
              const std::function<Estimate(const TaskResult&)>& of) {
  Estimate out;
  for (const TaskResult& result : results) {
    const Estimate e = of(result);
    out.value += e.value;
    out.standard_error += e.standard_error * e.standard_error;
  }
  const auto n = static_cast<double>(results.size());
  return {out.value / n, std::sqrt(out.standard_error) / n};
}

}  // namespace

Chosen chosen(const TaskDocument& document, const std::vector<ChoiceScore>& scores) {
  std::vector<double> plain, normalised;
  for (size_t c = 0; c < scores.size(); ++c) {
    plain.push_back(scores[c].log_probability);
    normalised.push_back(plain.back() / characters(document.requests[c].continuation));
  }
  return {largest(plain), largest(normalised)};
}

TaskFigures task_figures(const TaskDocuments& task, const TaskScores& scores) {
  const auto over = [&](const auto& value) { return over_documents(task, scores, value); };
  TaskFigures out;
  if (task.task->greedy) {
    out.acc = over([](const TaskDocument& d, const std::vector<ChoiceScore>& s) {
      return static_cast<double>(s[d.gold].greedy);
    });
    const Estimate nll = over([](const TaskDocument& d, const std::vector<ChoiceScore>& s) {
      return -s[d.gold].log_probability;
    });
    const double perplexity = std::exp(nll.value);
    out.perplexity = {perplexity, perplexity * nll.standard_error};
    return out;
  }
  const auto right = [&](std::optional<size_t> Chosen::*by) {
    return over([by](const TaskDocument& d, const std::vector<ChoiceScore>& s) {
      return static_cast<double>(chosen(d, s).*by == d.gold);
    });
  };
  out.acc = right(&Chosen::plain);
  if (task.task->normalised) out.acc_norm = right(&Chosen::normalised);
  return out;
}

double chance(const TaskDocuments& task) {
  if (task.task->greedy) return 0;
  double sum = 0;
  for (const TaskDocument& document : task.documents)
    sum += 1 / static_cast<double>(document.requests.size());
  return sum / static_cast<double>(task.documents.size());
}

std::optional<double> TaskAverage::above_chance() const {
  if (!teacher || !(teacher->value > chance)) return {};
  return (model.value - chance) / (teacher->value - chance);
}

std::optional<TaskAverage> average(const std::vector<TaskResult>& results) {
  if (results.empty()) return {};
  TaskAverage out{.tasks = static_cast<int64_t>(results.size()),
                  .chance = mean(results,
                                 [](const TaskResult& r) {
                                   return Estimate{r.chance, 0};
                                 })
                                .value,
                  .model = mean(results, [](const TaskResult& r) { return r.model.headline(); }),
                  .teacher = {}};
  if (std::ranges::all_of(results, [](const TaskResult& r) { return r.teacher.has_value(); }))
    out.teacher = mean(results, [](const TaskResult& r) { return r.teacher->headline(); });
  return out;
}

std::optional<TaskAverage> onebit_average(const std::vector<TaskResult>& results) {
  std::vector<TaskResult> six;
  for (const TaskResult& result : results)
    if (result.task->onebit) six.push_back(result);
  const auto expected = std::ranges::count_if(zero_shot_tasks(), &Task::onebit);
  return static_cast<int64_t>(six.size()) == expected ? average(six) : std::nullopt;
}

}  // namespace halftone
