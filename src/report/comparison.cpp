#include "halftone/report/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "halftone/base/error.h"
#include "halftone/base/number_text.h"
#include "halftone/io/json_numbers.h"

namespace halftone {
namespace {

using Value = std::optional<double>;

// Numbers come first in a sorted column, NaN behind them, runs without the figure last.
int rank(const Value& value) {
  return !value ? 2 : std::isnan(*value) ? 1 : 0;
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

Value per_cent(const Value& share) {
  return share ? Value(100 * *share) : Value();
}

Value ratio(const TextFigures& text, bool teacher_itself) {
  const Value teacher = teacher_itself ? text.perplexity : text.teacher_perplexity;
  if (!text.perplexity || !teacher) return {};
  return *text.perplexity / *teacher;
}

// What is found under a name in a list of a run, in columns of their own.
template <class Entry>
const Entry* entry(const std::vector<std::pair<std::string, Entry>>& list,
                   const std::string& name) {
  const auto found = std::ranges::find(list, name, &std::pair<std::string, Entry>::first);
  return found == list.end() ? nullptr : &found->second;
}

// Of a text that is not the first of all runs.
void add_text_columns(const std::string& name, std::vector<Column>& columns) {
  const auto add = [&](const std::string& key, const std::string& title, int decimals,
                       const std::function<Value(const TextFigures&, const RunRecord&)>& value) {
    columns.push_back({key + ":" + name, title + " " + printable(name), decimals,
                       [name, value](const RunRecord& r) -> Value {
                         const TextFigures* text = entry(r.texts, name);
                         return text ? value(*text, r) : Value();
                       }});
  };
  add("perplexity", "perplexity", 3, [](const auto& t, const auto&) { return t.perplexity; });
  add("ratio", "/ teacher", 3,
      [](const auto& t, const RunRecord& r) { return ratio(t, r.method == "none"); });
  add("kl", "KL", 4, [](const auto& t, const auto&) { return t.kl; });
  add("top1", "top-1 %", 1, [](const auto& t, const auto&) { return per_cent(t.top1); });
}

void add_task_columns(const std::vector<std::string>& tasks, std::vector<Column>& columns) {
  if (tasks.empty()) return;
  columns.push_back(
      {"tasks", "tasks %", 1, [](const RunRecord& r) { return per_cent(r.zero_shot.average); }});
  columns.push_back({"onebit_tasks", "six tasks %", 1,
                     [](const RunRecord& r) { return per_cent(r.zero_shot.onebit_average); }});
  columns.push_back({"above_chance", "above chance / teacher", 3, [](const RunRecord& r) -> Value {
                       const bool teacher_itself = r.method == "none" && r.zero_shot.average;
                       return teacher_itself ? Value(1) : r.zero_shot.above_chance;
                     }});
  for (const std::string& name : tasks)
    columns.push_back({name, printable(name) + " %", 1, [name](const RunRecord& r) -> Value {
                         const double* share = entry(r.zero_shot.tasks, name);
                         return share ? Value(100 * *share) : Value();
                       }});
}

void add_once(const std::string& name, std::vector<std::string>& names) {
  if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

const std::vector<Column>& usual_columns() {
  static const std::vector<Column> columns{
      {"bits_paper", "paper bits", 3, [](const RunRecord& r) -> Value { return r.bits_paper; }},
      {"bits_linear", "linear bits", 3, [](const RunRecord& r) -> Value { return r.bits_linear; }},
      {"bits_file", "file bits", 3, [](const RunRecord& r) -> Value { return r.bits_file; }},
      {"megabytes", "MB", 2, [](const RunRecord& r) -> Value { return r.bytes / 1e6; }},
      {"perplexity", "perplexity", 3, [](const RunRecord& r) { return r.perplexity; }},
      {"ratio", "/ teacher", 3, [](const RunRecord& r) { return ratio(r, r.method == "none"); }},
      {"kl", "KL", 4, [](const RunRecord& r) { return r.kl; }},
      {"top1", "top-1 %", 1, [](const RunRecord& r) { return per_cent(r.top1); }},
      {"seconds", "seconds", 1, [](const RunRecord& r) -> Value { return r.seconds; }},
      {"peak_mb", "peak MB", 0, [](const RunRecord& r) -> Value { return r.peak_rss_bytes / 1e6; }},
  };
  return columns;
}

}  // namespace

std::vector<Column> comparison_columns(const std::vector<RunRecord>& runs) {
  std::vector<Column> columns = usual_columns();
  std::vector<std::string> firsts, texts, tasks;
  for (const RunRecord& run : runs) {
    for (const auto& [name, figures] : run.texts) add_once(name, texts);
    if (!run.texts.empty()) add_once(run.texts[0].first, firsts);
    for (const auto& [name, share] : run.zero_shot.tasks) add_once(name, tasks);
  }
  for (const std::string& name : texts)
    if (firsts.size() > 1 || name != firsts[0]) add_text_columns(name, columns);
  add_task_columns(tasks, columns);
  return columns;
}

void sort_runs(std::vector<RunRecord>& runs, const std::string& key) {
  std::vector<std::string> keys;
  for (const Column& column : comparison_columns(runs)) {
    keys.push_back(column.key);
    if (column.key != key) continue;
    std::stable_sort(runs.begin(), runs.end(), [&](const RunRecord& a, const RunRecord& b) {
      const Value x = column.value(a), y = column.value(b);
      return std::pair(rank(x), x.value_or(0)) < std::pair(rank(y), y.value_or(0));
    });
    return;
  }
  throw_error(ErrorKind::recipe, "--sort: found {}, one of {} expected", printable(key),
              fmt::join(keys, ", "));
}

std::string cell_text(const Column& column, const RunRecord& run) {
  const Value value = column.value(run);
  return value ? fixed_text(*value, column.decimals) : "-";
}

std::string comparison_table(const std::vector<RunRecord>& runs) {
  std::vector<std::vector<std::string>> rows{{"run", "method"}};
  const std::vector<Column> columns = comparison_columns(runs);
  for (const Column& column : columns) rows[0].push_back(column.title);
  for (const RunRecord& run : runs) {
    rows.push_back({printable(run.name), printable(run.method)});
    for (const Column& column : columns) rows.back().push_back(cell_text(column, run));
  }
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string out;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c)
      out += c < 2 ? fmt::format("{:<{}}  ", row[c], widths[c])
                   : fmt::format("{:>{}}{}", row[c], widths[c], c + 1 < row.size() ? "  " : "\n");
  }
  return out;
}

std::string comparison_csv(const std::vector<RunRecord>& runs) {
  std::string out = "run,method";
  const std::vector<Column> columns = comparison_columns(runs);
  for (const Column& column : columns) out += "," + csv_text(column.key);
  out += "\n";
  for (const RunRecord& run : runs) {
    out += csv_text(run.name) + "," + csv_text(run.method);
    for (const Column& column : columns) {
      const Value value = column.value(run);
      out += fmt::format(",{}", value ? exact_text(*value) : "");
    }
    out += "\n";
  }
  return out;
}

std::string comparison_json(const std::vector<RunRecord>& runs) {
  nlohmann::ordered_json out{{"runs", nlohmann::ordered_json::array()}};
  const std::vector<Column> columns = comparison_columns(runs);
  for (const RunRecord& run : runs) {
    nlohmann::ordered_json row{
        {"run", run.name}, {"method", run.method}, {"directory", run.directory}};
    for (const Column& column : columns)
      if (const Value value = column.value(run)) row[column.key] = *value;
    for (const auto& [key, value] : run.protocol) row["protocol"][key] = value;
    for (const auto& [key, value] : run.machine) row["machine"][key] = value;
    out["runs"].push_back(row);
  }
  out["warnings"] = protocol_differences(runs);
  return json_text(out, 2);
}

std::vector<std::string> protocol_differences(const std::vector<RunRecord>& runs) {
  std::vector<std::string> keys{"teacher", "text", "protocol", "context", "windows", "join"}, out;
  for (const RunRecord& run : runs)
    for (const auto& [key, value] : run.protocol)
      if (key.starts_with("text ") || key.starts_with("task")) add_once(key, keys);
  for (const std::string& key : keys) {
    const bool of_tasks = key.starts_with("task");
    std::map<std::string, std::string> first;  // value -> the first run that has it
    for (const RunRecord& run : runs)
      if (const std::string* value = entry(run.protocol, key);
          value && (run.perplexity || of_tasks))
        first.emplace(*value, run.name);
    if (first.size() < 2) continue;
    std::vector<std::string> found;
    for (const auto& [value, name] : first)
      found.push_back(printable(value) + " in " + printable(name));
    out.push_back(fmt::format("eval {}: {}; {} do not compare", printable(key),
                              fmt::join(found, ", "), of_tasks ? "these tasks" : "perplexities"));
  }
  return out;
}

}  // namespace halftone
