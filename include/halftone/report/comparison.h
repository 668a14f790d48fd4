// Runs side by side. The columns are listed in one place; the table, CSV, JSON and page follow from
// the list.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "halftone/report/run_record.h"

namespace halftone {

struct Column {
  std::string key;    // in --sort, CSV and JSON
  std::string title;  // in tables
  int decimals;       // in tables
  std::function<std::optional<double>(const RunRecord&)> value;
};
// Those of every comparison, then those of further texts and of tasks that one of the runs has.
std::vector<Column> comparison_columns(const std::vector<RunRecord>& runs);

// Rising by the column, NaN behind all numbers, runs without the figure last, ties in the order
// given. Throws Error(recipe) naming the columns when there is no such one.
void sort_runs(std::vector<RunRecord>& runs, const std::string& column);

std::string cell_text(const Column& column, const RunRecord& run);  // "-" without a number

std::string comparison_table(const std::vector<RunRecord>& runs);
// Full precision; numbers that are not finite as base/number_text.h and io/json_numbers.h spell
// them.
std::string comparison_csv(const std::vector<RunRecord>& runs);
std::string comparison_json(const std::vector<RunRecord>& runs);  // an object with "runs"

// "found A in X, B in Y" for each of teacher, text, protocol, tasks ... in which evaluated runs
// differ: their perplexities, or their figures of the tasks, do not compare.
std::vector<std::string> protocol_differences(const std::vector<RunRecord>& runs);

}  // namespace halftone
