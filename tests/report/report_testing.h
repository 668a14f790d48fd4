// A run's record made by hand.
#pragma once

#include <optional>
#include <string>

#include "halftone/report/run_record.h"

namespace halftone::testing {

inline RunRecord record(const std::string& name, std::optional<double> perplexity, double bits) {
  RunRecord run;
  run.name = name;
  run.method = "rtn";
  run.perplexity = perplexity;
  run.teacher_perplexity = perplexity ? std::optional(10.0) : std::nullopt;
  run.bits_linear = bits;
  run.protocol = {{"text", "same"}};
  return run;
}

}  // namespace halftone::testing
