// What the stages of one run share.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "halftone/base/ranks.h"
#include "halftone/io/run_directory.h"

namespace halftone {

struct RunContext {
  RunDirectory directory;  // of its log and its checkpoints; the first rank alone writes there
  // Meta entries that every checkpoint of the run carries: what must be the same for another
  // sitting to go on with the same bits.
  std::map<std::string, std::string> identity;
  std::function<bool()> stop;  // whether somebody asks the run to end; its state is saved then
  // A stage's steps, shown: how many are done, and what to say beside it.
  std::function<void(int64_t done, const std::string& text)> progress;
  Ranks ranks = {};
};

}  // namespace halftone
