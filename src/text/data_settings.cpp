#include "halftone/text/data_settings.h"

namespace halftone {

void fields(FieldVisitor& v, SourceSettings& s) {
  v.path("path", s.path, "a text, as in data.train; required");
  v.field("weight", s.weight, {1e-6, 1e6}, "relative share of the tokens that come from it");
  choice(v, "typography", s.typography,
         {{typography_name(Typography::as_is), Typography::as_is},
          {typography_name(Typography::wikitext), Typography::wikitext}},
         "wikitext = its documents are set as WikiText's are");
}

void fields(FieldVisitor& v, GenerateSettings& s) {
  v.field("sequences", s.sequences, {1, int64_t{1} << 32}, "sequences drawn from the teacher");
  v.field("top_k", s.top_k, {0, int64_t{1} << 24}, "sample among the k likeliest tokens; 0 = all");
  v.field("temperature", s.temperature, {1e-3, 100}, "of the sampling");
  v.field("greedy_prefix", s.greedy_prefix, {1, int64_t{1} << 24},
          "least and greatest number of tokens before sampling starts");
  if (s.prefixes.empty())
    v.paths("prefix", s.prefix,
            "texts whose passages the sequences begin with, or tables as those of data.source; "
            "none: a first token and argmax");
  v.field("prefix_tokens", s.prefix_tokens, {1, int64_t{1} << 24},
          "least and greatest number of tokens of a passage");
  v.field("seed", s.seed, {}, "of the sampling");
  v.field("batch_size", s.batch_size, {1, int64_t{1} << 20}, "sequences drawn at a time");
  tables(v, "prefix", s.prefixes, SourceSettings());
}

void fields(FieldVisitor& v, DataSettings& s) {
  v.paths("train", s.train,
          "texts to learn from: .txt, .txt.gz (documents split by a line "
          "<|endoftext|>) or .tok; of several that are mixed: tables [[data.source]]");
  v.field("held_out", s.held_out, {0, 0.5},
          "share of the documents that is not trained on, but evaluated");
  v.field("cross_documents", s.cross_documents,
          "a sequence may hold tokens of several documents; false: what does not fill one is left "
          "out");
  v.field("max_seq_length", s.max_seq_length, {2, int64_t{1} << 24}, "tokens of a sequence");
  if (v.open("generate", s.generate_present, "learn from text drawn from the teacher")) {
    fields(v, s.generate);
    v.close();
  }
  tables(v, "source", s.sources, SourceSettings());
}

}  // namespace halftone
