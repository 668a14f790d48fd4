#include <fmt/format.h>

#include <toml++/toml.h>
#include <filesystem>
#include <sstream>

#include "halftone/app/commands.h"
#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/report/comparison.h"
#include "halftone/report/html_page.h"

namespace halftone {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

void flatten(const toml::table& table, const std::string& prefix, Entries& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      flatten(*inner, name + ".", out);
      continue;
    }
    std::ostringstream text;
    node.visit([&](const auto& value) { text << value; });
    if (name != "run.name" && name != "run.output_dir") out.emplace_back(name, text.str());
  }
}

// The effective recipe that the run left, "section.key" -> value. Not validated: what it names may
// have moved since.
Entries recipe_entries(const std::string& path) {
  Entries out;
  if (!std::filesystem::exists(path)) return out;
  try {
    flatten(toml::parse_file(path), "", out);
  } catch (const toml::parse_error& error) {
    throw_error(ErrorKind::format, "{}:{}: {}", path, error.source().begin.line,
                error.description());
  }
  return out;
}

}  // namespace

int compare_command(const CompareOptions& options) {
  std::vector<RunRecord> runs;
  for (const std::string& directory : options.runs) {
    runs.push_back(read_run(directory));
    runs.back().recipe = recipe_entries(directory + "/recipe.toml");
  }
  sort_runs(runs, options.sort);
  for (const std::string& warning : protocol_differences(runs))
    fmt::print(stderr, "warning: {}\n", warning);
  if (!options.html.empty()) write_text_durably(options.html, html_page(runs));
  if (!options.csv.empty()) write_text_durably(options.csv, comparison_csv(runs));
  fmt::print("{}", options.json ? comparison_json(runs) + "\n" : comparison_table(runs));
  return 0;
}

}  // namespace halftone
