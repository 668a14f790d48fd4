// docs/recipes.md lists the keys that the program has.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "app/program_testing.h"
#include "app/recipe.h"

namespace halftone {
namespace {

constexpr const char* kPage = HALFTONE_SOURCE_DIR "/docs/recipes.md";
constexpr const char *kBegin = "<!-- keys: begin -->\n", *kEnd = "<!-- keys: end -->\n";

// The lines between the two markers: the program's list as a block of code.
std::string made_part() {
  return "\n```text\n" + recipe_help() + "```\n\n";
}

struct Page {
  std::string before, made, behind;
};

Page read_page() {
  const std::string text = read_whole(kPage);
  const size_t begin = text.find(kBegin), end = text.find(kEnd);
  if (begin == text.npos || end == text.npos || end < begin) return {text, "", ""};
  const size_t first = begin + std::string(kBegin).size();
  return {text.substr(0, first), text.substr(first, end - first), text.substr(end)};
}

TEST(RecipesPage, ListsTheKeysOfTheProgram) {
  const Page page = read_page();
  ASSERT_FALSE(page.behind.empty())
      << kPage << ": a line " << kBegin << "and one " << kEnd << "behind it are expected";
  if (std::getenv("HALFTONE_WRITE_DOCS"))
    std::ofstream(kPage, std::ios::binary) << page.before << made_part() << page.behind;
  EXPECT_EQ(read_page().made, made_part())
      << "to write the list anew:\n"
         "  HALFTONE_WRITE_DOCS=1 build/release/tests/app_test --gtest_filter='RecipesPage.*'";
}

}  // namespace
}  // namespace halftone
