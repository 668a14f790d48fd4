#include "app/commands.h"
#include "halftone/io/run_directory.h"

namespace halftone {

int run_command(const std::string& recipe, const std::vector<std::string>& overrides,
                const RunOptions& options) {
  return run_recipe(read_recipe(recipe, overrides), options);
}

int resume_command(const std::string& run_dir, const std::vector<std::string>& overrides,
                   RunOptions options) {
  options.run_dir = run_dir;
  options.resume = true;
  return run_recipe(read_run_recipe(run_dir, overrides), options);
}

}  // namespace halftone
