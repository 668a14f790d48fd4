// Training text of several sources: whose document comes next, and which documents are held out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/text/data_settings.h"
#include "halftone/text/token_stream.h"

namespace halftone {

// What a text took from a source.
struct SourceFigures {
  SourceSettings settings;
  int64_t documents = 0;  // each time one is taken
  int64_t tokens = 0;     // end tokens included
  double passes = 0;      // through what its file has to train on, by all sources of that file
};

struct SourcedText {
  TokenStream tokens;
  std::vector<SourceFigures> sources;
  TokenStream held_out;
  int64_t held_out_documents = 0;
};

// The text of `settings`: the files of its train one after another, or its sources mixed.
//
// Mixing: the next document is of the source whose tokens so far, divided by its weight, are
// fewest, the first of equals. Sources of one file (the same path) deal out its documents among
// them: each goes to one of them. The text ends when every file has been gone through; one that
// ends earlier begins anew, at most 99 times. Shares are exact to a document, whatever the lengths
// of the files.
//
// held_out: a document is held out where its mark's hash is below held_out 2^64, so that equal
// documents are on one side. Held-out ones stand in the same order, each once.
// cross_documents = false: of each document as many tokens are taken as fill sequences of
// max_seq_length.
//
// Throws as read_document_tokens; Error(recipe) where a source has no tokens to take, and where one
// would begin anew too often.
SourcedText read_sources(const DataSettings& settings, const Tokenizer& tokenizer,
                         const TokenCache& cache = {});

// Appends documents, each closed by the token `end`, as cross_documents says.
void append_documents(std::vector<int32_t> tokens, int32_t end, const DataSettings& settings,
                      TokenStream& out);

}  // namespace halftone
