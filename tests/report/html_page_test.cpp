#include "halftone/report/html_page.h"

#include <gtest/gtest.h>

#include <string>

#include "report/report_testing.h"

namespace halftone {
namespace {

using testing::record;

TEST(HtmlPage, EscapesWhatComesFromFilesAndNeedsNoNetwork) {
  RunRecord run = record("<script>alert(1)</script>", 12, 1);
  run.log = {{.step = 1, .loss = 2.0}, {.step = 2, .loss = 1.0}};
  run.layers = {{"model.layers.0.mlp.up_proj", 0.1}, {"model.layers.1.mlp.up_proj", 0.2}};
  const std::string page = html_page({run, record("b", 13, 2)});
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
  for (const char* part : {"&lt;script&gt;", "up_proj", "loss", "Against true bits"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

TEST(HtmlPage, ShowsWhatDiffersBetweenTheRecipesAndNotWhatDoesNot) {
  RunRecord a = record("a", 12, 1), b = record("b", 13, 2);
  a.recipe = {{"run.seed", "17"}, {"ptq.bits", "2"}};
  b.recipe = {{"run.seed", "17"}, {"ptq.bits", "3"}};
  const std::string page = html_page({a, b});
  EXPECT_NE(page.find("ptq.bits"), std::string::npos);
  EXPECT_EQ(page.find("run.seed"), std::string::npos);
}

}  // namespace
}  // namespace halftone
