// The caches that the target logit_cache reads: of narrow ids and of wide ones.
#pragma once

#include "halftone/train/logit_cache.h"

namespace halftone::fuzz {

inline LogitCacheSpec logit_spec(const std::string& directory, bool wide) {
  return {.directory = directory,
          .key = std::string(64, 'a'),
          .sequences = 2,
          .length = 3,
          .vocabulary = wide ? 70000 : 300,
          .top_k = 2};
}

}  // namespace halftone::fuzz
