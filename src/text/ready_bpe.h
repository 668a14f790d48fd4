// A BPE tokenizer from tables that are there already.
#pragma once

#include <memory>

#include "bpe_tables.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// `settings` is a definition without tokens and merges, whose ids `tables` have. Throws
// Error(format) as make_bpe() of the whole definition does.
std::unique_ptr<Tokenizer> make_bpe(BpeDefinition settings, const BpeTables& tables);

}  // namespace halftone
