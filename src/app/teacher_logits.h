// The cache of a recipe's teacher over its training text (train/logit_cache.h).
#pragma once

#include "app/recipe.h"
#include "app/run.h"
#include "app/text_tokens.h"
#include "halftone/model/load.h"
#include "halftone/train/logit_cache.h"

namespace halftone {

// What a text of so many sequences takes, for a recipe with teacher.cache_top_k above 0; `key` and
// the folder are left empty. Throws Error(recipe) for more ids than the teacher knows.
LogitCacheSpec planned_teacher_logits(const Recipe& recipe, const ModelConfig& teacher,
                                      int64_t sequences);

// The whole cache, beside the run directories in a folder named by all that decides its content.
// What of it is missing is made first; an interrupted making goes on at the part that it was at.
// Several ranks make a part each at a time. Throws Error(format) naming a damaged file of it,
// Error(recipe) while another run makes the same.
LogitCache teacher_logits(const Recipe& recipe, const RunOptions& options, const TrainingText& text,
                          LoadedModel& teacher);

}  // namespace halftone
