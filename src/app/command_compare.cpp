#include <algorithm>
#include <filesystem>

#include "app/commands.h"
#include "app/console.h"
#include "app/recipe.h"
#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/text_file.h"
#include "halftone/report/comparison.h"
#include "halftone/report/html_page.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

// The effective recipe that the run left, "section.key" -> value. Not validated: what it names may
// have moved since.
std::vector<std::pair<std::string, std::string>> run_settings(const std::string& directory) {
  const std::string path = directory + "/recipe.toml";
  if (!exists_at(path)) return {};
  auto entries = recipe_entries(read_text_file(path, 1 << 20), path);
  std::erase_if(entries, [](const auto& entry) {
    return entry.first == "run.name" || entry.first == "run.output_dir";
  });
  return entries;
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code missing;
  return fs::equivalent(a, b, missing);
}

// Refuses to write where a file of the runs would be lost, or where nothing can be written.
void check_output(const std::string& option, const std::string& path,
                  const std::vector<std::string>& runs) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw_error(ErrorKind::recipe, "{}: found {}, {}, a file expected", option, printable(path),
                fs::is_directory(status) ? "a directory" : "no regular file");
  const fs::path given = fs::path(path).parent_path(), parent = given.empty() ? "." : given;
  if (!fs::is_directory(parent, error))
    throw_error(ErrorKind::io, "{}: {} cannot be written: there is no directory {}", option,
                printable(path), printable(parent.string()));
  const std::string suffix = fs::path(path).extension();
  for (const std::string& run : runs) {
    for (const char* name : {"/result.json", "/log.jsonl", "/recipe.toml"})
      if (same_file(path, run + name))
        throw_error(ErrorKind::recipe, "{}: found {}, which is {}{}, a file of a run", option,
                    printable(path), printable(run), name);
    bool inside = false;
    for (fs::path up = fs::canonical(parent); up != up.root_path(); up = up.parent_path())
      inside = inside || same_file(up, run);
    if (inside && suffix != ".html" && suffix != ".csv")
      throw_error(
          ErrorKind::recipe,
          "{}: found {} in the run directory {}, where only an .html or .csv may be written",
          option, printable(path), printable(run));
  }
}

void check_outputs(const CompareOptions& options) {
  const bool html = !options.html.empty(), csv = !options.csv.empty();
  if (html) check_output("--html", options.html, options.runs);
  if (csv) check_output("--csv", options.csv, options.runs);
  const auto place = [](const std::string& path) { return fs::weakly_canonical(path); };
  if (html && csv && place(options.html) == place(options.csv))
    throw_error(ErrorKind::recipe, "--html and --csv: found {} for both, two files expected",
                printable(options.csv));
}

// The finished ones of the directories, each once. `compare runs/*` also names what is no run, or
// no finished one: that is said and passed over, but for token files, which lie beside every run.
std::vector<RunRecord> read_runs(const std::vector<std::string>& directories) {
  std::vector<RunRecord> runs;
  for (const std::string& directory : directories) {
    std::error_code error;
    if (!fs::exists(directory, error))
      throw_error(ErrorKind::format, "{}: does not exist, a run directory expected", directory);
    const auto same = [&](const RunRecord& run) { return same_file(run.directory, directory); };
    if (std::any_of(runs.begin(), runs.end(), same)) {
      say("{}: given twice, shown once\n", directory);
    } else if (fs::is_regular_file(directory, error) && file_kind(directory) == FileKind::tokens) {
      continue;
    } else if (!fs::exists(directory + "/result.json", error)) {
      say("{}: left out: {}\n", directory,
          fs::exists(directory + "/recipe.toml", error) ? "the run is not finished (no result.json)"
                                                        : "is no run directory");
    } else {
      runs.push_back(read_run(directory));
      runs.back().recipe = run_settings(directory);
    }
  }
  if (runs.empty())
    throw_error(ErrorKind::format, "{}: no result.json in any; at least one finished run expected",
                fmt::join(directories, ", "));
  return runs;
}

}  // namespace

int compare_command(const CompareOptions& options) {
  check_outputs(options);
  std::vector<RunRecord> runs = read_runs(options.runs);
  sort_runs(runs, options.sort);
  for (const std::string& warning : protocol_differences(runs)) say("warning: {}\n", warning);
  if (!options.html.empty()) write_text_durably(options.html, html_page(runs));
  if (!options.csv.empty()) write_text_durably(options.csv, comparison_csv(runs));
  print("{}", options.json ? comparison_json(runs) + "\n" : comparison_table(runs));
  return 0;
}

}  // namespace halftone
