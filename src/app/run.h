// One recipe carried out: import, start, train, evaluate, write what happened.
#pragma once

#include <string>
#include <vector>

#include "app/recipe.h"
#include "halftone/base/ranks.h"

namespace halftone {

struct RunOptions {
  std::string run_dir;  // empty: <output_dir>/<name>
  bool quiet = false;
  bool json = false;           // print result.json on stdout
  bool resume = false;         // go on from the newest whole checkpoint
  bool allow_inexact = false;  // resume also where the bits may differ
  Ranks ranks = {};            // that carry it out together; the first writes and speaks
};

// Returns an exit code: 0, or 7 after SIGINT or SIGTERM with a checkpoint saved. Of several ranks
// all call, on the same recipe.
int run_recipe(const Recipe& recipe, const RunOptions& options);

}  // namespace halftone
