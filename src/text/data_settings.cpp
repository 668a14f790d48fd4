#include "halftone/text/data_settings.h"

namespace halftone {

void fields(FieldVisitor& v, GenerateSettings& s) {
  v.field("sequences", s.sequences, {1, int64_t{1} << 32}, "sequences drawn from the teacher");
  v.field("top_k", s.top_k, {0, int64_t{1} << 24}, "sample among the k likeliest tokens; 0 = all");
  v.field("temperature", s.temperature, {1e-3, 100}, "of the sampling");
  v.field("greedy_prefix", s.greedy_prefix, {1, int64_t{1} << 24},
          "least and greatest number of tokens before sampling starts");
  v.paths("prefix", s.prefix,
          "texts whose passages the sequences begin with; none: a first token and argmax");
  v.field("prefix_tokens", s.prefix_tokens, {1, int64_t{1} << 24},
          "least and greatest number of tokens of a passage");
  v.field("seed", s.seed, {}, "of the sampling");
  v.field("batch_size", s.batch_size, {1, int64_t{1} << 20}, "sequences drawn at a time");
}

void fields(FieldVisitor& v, DataSettings& s) {
  v.paths("train", s.train,
          "texts to learn from: .txt, .txt.gz (documents split by a line "
          "<|endoftext|>) or .tok");
  v.field("wikitext_share", s.wikitext_share, {0, 1},
          "share of the documents of text files that is set in WikiText's typography");
  v.field("max_seq_length", s.max_seq_length, {2, int64_t{1} << 24}, "tokens of a sequence");
  if (v.open("generate", s.generate_present, "learn from text drawn from the teacher")) {
    fields(v, s.generate);
    v.close();
  }
}

}  // namespace halftone
