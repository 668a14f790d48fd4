// A recipe, and behind zero bytes overrides of the command line.
#include "app/recipe.h"
#include "halftone/train/trainer.h"
#include "target.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(recipe) {
  constexpr size_t kMostParts = 8;
  const std::vector<std::string_view> found = parts(input, kMostParts);
  const std::string path = scratch().write("recipe.toml", found[0]);
  const std::vector<std::string> overrides(found.begin() + 1, found.end());
  accepted([&] { recipe_entries(std::string(found[0]), path); });
  accepted([&] {
    const Recipe recipe = read_recipe(path, overrides);
    read_run_recipe(scratch().path(), overrides);
    method_name(recipe.run);
    dtype_text(recipe.teacher);
    recipe_sha256(recipe);
    const std::string effective = write_recipe(recipe);
    const std::string again = scratch().write("effective.toml", effective);
    const Recipe back = read_recipe(again);
    if (write_recipe(back) != effective || !recipe_differences(recipe, back).empty())
      throw std::logic_error("the effective recipe is read as another one:\n" + effective + "\n" +
                             write_recipe(back));
    recipe_entries(effective, again);
  });
}

}  // namespace halftone::fuzz
