// What `check --ranks` says of a training that several ranks share out.
#pragma once

#include "app/commands.h"
#include "app/recipe.h"
#include "halftone/model/plan.h"

namespace halftone {

// Bytes of "80G", "512M" or "1000000000": K, M, G and T are thousands. Throws Error(recipe), naming
// --memory, for other texts and for nothing.
double memory_size(const std::string& text);

// Of 1, 2, 4 ... ranks, and of so many: what each holds and sends, and how long a step takes.
void print_ranks(const Recipe& recipe, const DecoderSpec& spec, const TrainingShape& shape,
                 const CheckOptions& options);

// Ways to place it on ranks that have so much memory each: as it is, with gradient checkpointing,
// and with the blocks in parts too. The last line says what fits.
void print_placements(const Recipe& recipe, const DecoderSpec& spec, const TrainingShape& shape,
                      const CheckOptions& options);

}  // namespace halftone
