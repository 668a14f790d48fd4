#include <fmt/format.h>

#include <filesystem>

#include "halftone/app/commands.h"
#include "halftone/app/recipe.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/text_file.h"
#include "halftone/report/comparison.h"
#include "halftone/report/html_page.h"

namespace halftone {
namespace {

// The effective recipe that the run left, "section.key" -> value. Not validated: what it names may
// have moved since.
std::vector<std::pair<std::string, std::string>> run_settings(const std::string& directory) {
  const std::string path = directory + "/recipe.toml";
  if (!std::filesystem::exists(path)) return {};
  auto entries = recipe_entries(read_text_file(path, 1 << 20), path);
  std::erase_if(entries, [](const auto& entry) {
    return entry.first == "run.name" || entry.first == "run.output_dir";
  });
  return entries;
}

}  // namespace

int compare_command(const CompareOptions& options) {
  std::vector<RunRecord> runs;
  for (const std::string& directory : options.runs) {
    runs.push_back(read_run(directory));
    runs.back().recipe = run_settings(directory);
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
