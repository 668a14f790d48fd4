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

const std::string* find(const std::vector<std::pair<std::string, std::string>>& list,
                        const std::string& key) {
  for (const auto& [name, value] : list)
    if (name == key) return &value;
  return nullptr;
}

}  // namespace

const std::vector<Column>& comparison_columns() {
  static const std::vector<Column> columns{
      {"bits_paper", "paper bits", 3, [](const RunRecord& r) -> Value { return r.bits_paper; }},
      {"bits_linear", "linear bits", 3, [](const RunRecord& r) -> Value { return r.bits_linear; }},
      {"bits_file", "file bits", 3, [](const RunRecord& r) -> Value { return r.bits_file; }},
      {"megabytes", "MB", 2, [](const RunRecord& r) -> Value { return r.bytes / 1e6; }},
      {"perplexity", "perplexity", 3, [](const RunRecord& r) { return r.perplexity; }},
      {"ratio", "/ teacher", 3,
       [](const RunRecord& r) -> Value {
         const Value teacher = r.method == "none" ? r.perplexity : r.teacher_perplexity;
         if (!r.perplexity || !teacher) return {};
         return *r.perplexity / *teacher;
       }},
      {"kl", "KL", 4, [](const RunRecord& r) { return r.kl; }},
      {"top1", "top-1 %", 1,
       [](const RunRecord& r) -> Value {
         if (!r.top1) return {};
         return 100 * *r.top1;
       }},
      {"seconds", "seconds", 1, [](const RunRecord& r) -> Value { return r.seconds; }},
      {"peak_mb", "peak MB", 0, [](const RunRecord& r) -> Value { return r.peak_rss_bytes / 1e6; }},
  };
  return columns;
}

void sort_runs(std::vector<RunRecord>& runs, const std::string& key) {
  std::vector<std::string> keys;
  for (const Column& column : comparison_columns()) {
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
  for (const Column& column : comparison_columns()) rows[0].push_back(column.title);
  for (const RunRecord& run : runs) {
    rows.push_back({printable(run.name), printable(run.method)});
    for (const Column& column : comparison_columns()) rows.back().push_back(cell_text(column, run));
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
  for (const Column& column : comparison_columns()) out += "," + column.key;
  out += "\n";
  for (const RunRecord& run : runs) {
    out += csv_text(run.name) + "," + csv_text(run.method);
    for (const Column& column : comparison_columns()) {
      const Value value = column.value(run);
      out += fmt::format(",{}", value ? exact_text(*value) : "");
    }
    out += "\n";
  }
  return out;
}

std::string comparison_json(const std::vector<RunRecord>& runs) {
  nlohmann::ordered_json out{{"runs", nlohmann::ordered_json::array()}};
  for (const RunRecord& run : runs) {
    nlohmann::ordered_json row{
        {"run", run.name}, {"method", run.method}, {"directory", run.directory}};
    for (const Column& column : comparison_columns())
      if (const Value value = column.value(run)) row[column.key] = *value;
    for (const auto& [key, value] : run.protocol) row["protocol"][key] = value;
    for (const auto& [key, value] : run.machine) row["machine"][key] = value;
    out["runs"].push_back(row);
  }
  out["warnings"] = protocol_differences(runs);
  return json_text(out, 2);
}

std::vector<std::string> protocol_differences(const std::vector<RunRecord>& runs) {
  std::vector<std::string> out;
  for (const char* key : {"teacher", "text", "protocol", "context", "windows", "join"}) {
    std::map<std::string, std::string> first;  // value -> the first run that has it
    for (const RunRecord& run : runs)
      if (const std::string* value = find(run.protocol, key); run.perplexity && value)
        first.emplace(*value, run.name);
    if (first.size() < 2) continue;
    std::vector<std::string> found;
    for (const auto& [value, name] : first)
      found.push_back(printable(value) + " in " + printable(name));
    out.push_back(
        fmt::format("eval {}: {}; perplexities do not compare", key, fmt::join(found, ", ")));
  }
  return out;
}

}  // namespace halftone
