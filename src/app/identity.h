// What a checkpoint must share with the run that goes on from it, for the bits to be the same.
#pragma once

#include <map>
#include <string>

#include "app/recipe.h"
#include "halftone/base/ranks.h"
#include "halftone/io/checkpoint_file.h"

namespace halftone {

struct RunIdentity {
  std::string recipe;          // identity_text()
  std::string teacher_sha256;  // of pretrain: of the new model's configuration
  std::string tokenizer_hash;
  std::string data_sha256;
  std::string teacher_logits_sha256;  // of their cache; empty: the teacher itself is run
};

// The recipe without what may change between sittings, and without the paths of what is hashed by
// itself: a run can be moved, and so can all that it reads. The micro-batches of a step may be
// shared out over any number of ranks, so that gradient_accumulation_steps counts those of all.
std::string identity_text(Recipe recipe, int ranks);

// Refuses ranks that would not do the same: other recipes (but for the paths of what is hashed),
// programs, threads or instruction sets. Throws an AgreedError of the kind recipe.
void require_one_recipe(const Ranks& ranks, Recipe recipe);

// Everything that decides bits, as meta entries of a checkpoint: the above, the ISA, the threads,
// the BLAS, the version.
std::map<std::string, std::string> identity_meta(const RunIdentity& identity);

// Throws Error(checkpoint) where a resumed run could not give the same bits. A machine that differs
// is let pass with `allow_inexact`.
void check_identity(const CheckpointContent& content, const RunIdentity& identity,
                    bool allow_inexact);

}  // namespace halftone
