#include "app/commands.h"
#include "app/many_ranks.h"
#include "halftone/io/run_directory.h"

namespace halftone {
namespace {

int run_on_ranks(const std::function<Recipe()>& read, RunOptions options) {
  return on_ranks([&](const Ranks& ranks) {
    options.ranks = ranks;
    options.quiet |= !ranks.first();
    Recipe recipe;
    ranks.together([&] { recipe = read(); });
    return run_recipe(recipe, options);
  });
}

}  // namespace

int run_command(const std::string& recipe, const std::vector<std::string>& overrides,
                const RunOptions& options) {
  return run_on_ranks([&] { return read_recipe(recipe, overrides); }, options);
}

int resume_command(const std::string& run_dir, const std::vector<std::string>& overrides,
                   RunOptions options) {
  options.run_dir = run_dir;
  options.resume = true;
  return run_on_ranks([&] { return read_run_recipe(run_dir, overrides); }, options);
}

}  // namespace halftone
