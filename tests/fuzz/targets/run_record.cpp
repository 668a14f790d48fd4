// A result.json, and behind zero bytes a log.jsonl and a recipe.toml: compared with another run,
// and taken for a model, which it is not.
#include "app/recipe.h"
#include "halftone/model/load.h"
#include "halftone/report/comparison.h"
#include "halftone/report/html_page.h"
#include "target.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(run_record) {
  write_parts(input, {"result.json", "log.jsonl", "recipe.toml"});
  const std::string& directory = scratch().path();
  accepted([&] { load_model(directory); });
  accepted([&] {
    std::vector<RunRecord> runs{read_run(directory)};
    const std::vector<std::string_view> found = parts(input, 3);
    if (found.size() == 3)
      accepted([&] { runs[0].recipe = recipe_entries(std::string(found[2]), "recipe"); });
    RunRecord& other = runs.emplace_back();
    other.directory = other.name = "other";
    other.method = "rtn";
    other.perplexity = 9.5;
    runs.back().recipe = {{"run.method", "'rtn'"}};
    runs.back().log = {{.step = 1, .loss = 2.5}, {.step = 2, .loss = 2.0}};
    for (const Column& column : comparison_columns(runs)) sort_runs(runs, column.key);
    protocol_differences(runs);
    comparison_table(runs);
    comparison_csv(runs);
    comparison_json(runs);
    html_page(runs);
  });
}

}  // namespace halftone::fuzz
