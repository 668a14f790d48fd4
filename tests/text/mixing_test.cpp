#include "halftone/text/mixing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

class MixingTest : public DataTest {
 protected:
  // A token file of documents of `lengths` tokens, the end token the last; all others are `id`.
  std::string file(const std::string& name, int32_t id, const std::vector<int>& lengths) const {
    std::vector<int32_t> tokens;
    for (const int length : lengths) {
      tokens.insert(tokens.end(), static_cast<size_t>(length) - 1, id);
      tokens.push_back(*tokenizer_->eos());
    }
    write_token_file(folder_ + "/" + name, tokens, *tokenizer_);
    return folder_ + "/" + name;
  }
  // "a" for a document whose first token is 100, "b" for 101, ...
  std::string order(const TokenStream& tokens) const {
    std::string out;
    bool begins = true;
    for (const int32_t id : tokens.all()) {
      if (begins) out += static_cast<char>('a' + id - 100);
      begins = id == *tokenizer_->eos();
    }
    return out;
  }
  SourcedText mix(std::vector<SourceSettings> sources, double held_out = 0) const {
    return read_sources({.sources = std::move(sources), .held_out = held_out}, *tokenizer_);
  }
  std::string refusal(const DataSettings& settings) const {
    try {
      read_sources(settings, *tokenizer_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::recipe);
      return error.what();
    }
    return "";
  }
};

TEST_F(MixingTest, TheNextDocumentIsOfTheSourceWithTheFewestTokensForItsWeight) {
  const std::string a = file("a.tok", 100, {2, 2, 2, 2}), b = file("b.tok", 101, {4, 4, 4});
  // Tokens: a 2, b 4, a 4, a 6 (equal: the first), b 8, a 8, a 10 (anew), b 12 ends it.
  const SourcedText even = mix({{.path = a}, {.path = b}});
  EXPECT_EQ(order(even.tokens), "abaabaab");
  // By weight: a 2, b 4/3, 8/3, a 4, b 4, a 6 (equal), b 16/3, 20/3, a 8 ends it.
  const SourcedText less = mix({{.path = a}, {.path = b, .weight = 3}});
  EXPECT_EQ(order(less.tokens), "abbababba");
  EXPECT_EQ(less.sources[0].documents, 4);
  EXPECT_EQ(less.sources[0].tokens, 8);
  EXPECT_DOUBLE_EQ(less.sources[0].passes, 1);
  EXPECT_DOUBLE_EQ(less.sources[1].passes, 5.0 / 3);
}

TEST_F(MixingTest, SharesAreAsTheWeightsWhateverTheLengths) {
  const std::string a = file("a.tok", 100, std::vector<int>(40, 7)),
                    b = file("b.tok", 101, std::vector<int>(9, 13)),
                    c = file("c.tok", 102, std::vector<int>(100, 3));
  const SourcedText text = mix({{.path = a, .weight = 5}, {.path = b, .weight = 2}, {.path = c}});
  std::map<int32_t, int> counts;
  for (const char d : order(text.tokens)) ++counts[d];
  EXPECT_EQ(text.sources[0].tokens, 7 * counts['a']);
  const double unit = static_cast<double>(text.tokens.size()) / 8;
  EXPECT_NEAR(static_cast<double>(text.sources[0].tokens), 5 * unit, 14);
  EXPECT_NEAR(static_cast<double>(text.sources[1].tokens), 2 * unit, 14);
  EXPECT_NEAR(static_cast<double>(text.sources[2].tokens), unit, 14);
  for (const SourceFigures& source : text.sources) EXPECT_GE(source.passes, 1);
}

TEST_F(MixingTest, SourcesOfOneFileDealOutItsDocuments) {
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += "It is number " + std::to_string(i) + ", or so.\n<|endoftext|>\n";
  const std::string path = write("a.txt", text);
  const SourcedText mixed =
      mix({{.path = path}, {.path = path, .typography = Typography::wikitext}});
  EXPECT_EQ(mixed.sources[0].documents + mixed.sources[1].documents, 8);
  EXPECT_NEAR(static_cast<double>(mixed.sources[0].documents), 4, 1);
  EXPECT_DOUBLE_EQ(mixed.sources[0].passes, 1);
  const std::string decoded = tokenizer_->decode(mixed.tokens.all());
  for (int i = 0; i < 8; ++i) {
    const std::string plain = "number " + std::to_string(i) + ", or",
                      set = "number " + std::to_string(i) + " , or";
    EXPECT_NE(decoded.find(plain) == decoded.npos, decoded.find(set) == decoded.npos) << i;
  }
}

TEST_F(MixingTest, ASourceAloneIsItsFile) {
  const std::string path = write("a.txt", "one\n<|endoftext|>\ntwo\n<|endoftext|>\nthree");
  const auto joined = read_sources({.train = {path, path}}, *tokenizer_);
  const auto alone = mix({{.path = path}});
  std::vector<int32_t> twice = alone.tokens.all();
  twice.insert(twice.end(), twice.begin(), twice.begin() + alone.tokens.size());
  EXPECT_EQ(joined.tokens.all(), twice);
  EXPECT_EQ(joined.sources.size(), 2u);
  EXPECT_EQ(alone.tokens.all(), read_token_stream({path}, *tokenizer_).all());
}

TEST_F(MixingTest, HeldOutDocumentsAreInNoSequenceAndEqualOnesOnOneSide) {
  std::string text;
  for (int i = 0; i < 400; ++i)
    text += "Document " + std::to_string(i % 200) + ".\n<|endoftext|>\n";
  const std::string path = write("a.txt", text);
  const std::vector<SourceSettings> sources{{.path = path},
                                            {.path = path, .typography = Typography::wikitext}};
  const DataSettings joined{.train = {path}, .held_out = 0.1},
      mixed{.sources = sources, .held_out = 0.1};
  for (const DataSettings& settings : {joined, mixed}) {
    const SourcedText out = read_sources(settings, *tokenizer_);
    int64_t trained = 0;
    for (const SourceFigures& source : out.sources) trained += source.documents;
    EXPECT_EQ(trained + out.held_out_documents, 400);
    EXPECT_NEAR(static_cast<double>(out.held_out_documents), 40, 20);
    const std::string kept = tokenizer_->decode(out.held_out.all()),
                      learnt = tokenizer_->decode(out.tokens.all());
    for (int i = 0; i < 200; ++i) {
      const auto in = [&](const std::string& where) {
        const std::string name = "Document " + std::to_string(i);
        return where.find(name + ".") != where.npos || where.find(name + " .") != where.npos;
      };
      EXPECT_NE(in(kept), in(learnt)) << i;
    }
    EXPECT_EQ(out.held_out_documents % 2, 0);
  }
  EXPECT_EQ(read_sources({.train = {path}}, *tokenizer_).held_out_documents, 0);
}

TEST_F(MixingTest, NoSequenceHoldsTwoDocumentsWhereTheyDoNotCross) {
  const std::string a = file("a.tok", 100, {5, 9, 2, 4}), b = file("b.tok", 101, {3, 8});
  for (const bool mixed : {false, true}) {
    DataSettings settings{.cross_documents = false, .max_seq_length = 4};
    if (mixed)
      settings.sources = {{.path = a}, {.path = b}};
    else
      settings.train = {a, b};
    const SourcedText text = read_sources(settings, *tokenizer_);
    const TokenSequences sequences(text.tokens, 4);
    for (int64_t s = 0; s < sequences.count(); ++s) {
      const std::vector<int32_t> ids = sequences.sequence(s);
      for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_NE(ids[i], *tokenizer_->eos()) << s;
      EXPECT_TRUE(
          std::all_of(ids.begin(), ids.end() - 1, [&](int32_t id) { return id == ids[0]; }));
    }
    EXPECT_EQ(text.tokens.size() % 4, 0);
    if (!mixed) {
      EXPECT_EQ(sequences.count(), 1 + 2 + 0 + 1 + 0 + 2);
    }
  }
  TokenStream generated;
  append_documents({1, 1, 1, 1, 0, 2, 0, 3, 3, 3, 0}, 0,
                   {.cross_documents = false, .max_seq_length = 4}, generated);
  EXPECT_EQ(generated.all(), (std::vector<int32_t>{1, 1, 1, 1, 3, 3, 3, 0}));
  TokenStream crossing;
  append_documents({1, 1, 0, 2}, 0, {.max_seq_length = 4}, crossing);
  EXPECT_EQ(crossing.all(), (std::vector<int32_t>{1, 1, 0, 2}));
}

TEST_F(MixingTest, WhatCannotBeMixedIsNamed) {
  const std::string a = file("a.tok", 100, {2}), b = file("b.tok", 101, std::vector<int>(300, 2)),
                    none = write("none.txt", "");
  EXPECT_NE(refusal({.sources = {{.path = a}, {.path = none}}})
                .find(none + ": found no document to train on"),
            std::string::npos);
  EXPECT_NE(refusal({.sources = {{.path = a}, {.path = b}}, .cross_documents = false})
                .find(a + ": found no document of data.max_seq_length = 512 tokens"),
            std::string::npos);
  EXPECT_NE(refusal({.sources = {{.path = a}, {.path = b}}}).find(a + ": weight: found 1, "),
            std::string::npos);
  EXPECT_EQ(refusal({.sources = {{.path = a, .weight = 0.25}, {.path = b}}}), "");
}

}  // namespace
}  // namespace halftone
