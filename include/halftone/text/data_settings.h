// Section [data] of a recipe: the text that a run learns from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/settings.h"
#include "halftone/text/typography.h"

namespace halftone {

// One of several texts that are mixed (text/mixing.h).
struct SourceSettings {
  std::string path;
  double weight = 1;  // relative share of the tokens
  Typography typography = Typography::as_is;
};

// Text drawn from the teacher itself (LLM-QAT, Liu et al., 2023, arXiv 2305.17888): a first token
// without replacement, argmax until the sequence has J tokens, sampling from there on.
struct GenerateSettings {
  int64_t sequences = 0;  // of at most max_seq_length tokens, and the end token
  int64_t top_k = 50;     // 0: all tokens
  double temperature = 1.0;
  std::vector<int64_t> greedy_prefix = {3, 5};  // least and greatest J, the first token included
  // Texts whose passages the sequences begin with, in place of a first token and argmax.
  std::vector<std::string> prefix;
  std::vector<SourceSettings> prefixes;          // in its place: mixed
  std::vector<int64_t> prefix_tokens = {8, 96};  // least and greatest length of a passage
  int64_t seed = 0;
  int64_t batch_size = 32;
};

struct DataSettings {
  std::vector<std::string> train;       // .txt, .txt.gz or .tok, one after another
  std::vector<SourceSettings> sources;  // in its place: mixed
  double held_out = 0;                  // share of the documents that is not trained on
  bool cross_documents = true;          // a sequence may hold tokens of several documents
  int64_t max_seq_length = 512;         // tokens
  bool generate_present = false;
  GenerateSettings generate;
};

void fields(FieldVisitor& v, SourceSettings& s);
void fields(FieldVisitor& v, GenerateSettings& s);
void fields(FieldVisitor& v, DataSettings& s);

}  // namespace halftone
