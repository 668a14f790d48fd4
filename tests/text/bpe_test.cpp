#include "halftone/text/bpe.h"

#include <gtest/gtest.h>

#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;

const std::string kGpt2 = kTokenizers + "gpt2.json";

TEST(Bpe, EveryStringOfBytesComesBack) {
  Rng rng(1, RngStream::test);
  for (const char* file : {"smollm.json", "smollm.gguf", "llama-bpe.json"}) {
    const auto tokenizer = load_tokenizer(kTokenizers + file);
    const EncodeOptions bare{.add_special_tokens = false};
    for (int trial = 0; trial < 1000; ++trial) {
      const std::string bytes = random_bytes(rng, 80, trial % 2);
      ASSERT_EQ(tokenizer->decode(tokenizer->encode(bytes, bare)), bytes) << file;
    }
    for (const std::string broken : {"\xc0\xaf", "\xed\xa0\x80", "\xf0\x9f\x98", "\xff\xfe",
                                     "a\x80z", "\xe2\x28\xa1 x", "\xf4\x90\x80\x80"})
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(broken, bare)), broken) << file;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(std::string(3, '\0'), bare)),
              std::string(3, '\0'));
  }
}

TEST(Bpe, BytesThatAreNoTextDoNotChangeTheWordsAroundThem) {
  const auto tokenizer = load_tokenizer(kGpt2);
  std::vector<int32_t> expected = tokenizer->encode("Once upon ");
  const auto byte = tokenizer->encode("\xff"), rest = tokenizer->encode("and a time");
  expected.insert(expected.end(), byte.begin(), byte.end());
  expected.insert(expected.end(), rest.begin(), rest.end());
  EXPECT_EQ(byte.size(), 1u);
  EXPECT_EQ(tokenizer->encode("Once upon \xff"
                              "and a time"),
            expected);
}

// All bytes, and what `merges` lead to.
BpeDefinition bytes_and(const std::vector<std::pair<std::string, std::string>>& merges) {
  BpeDefinition d;
  d.source = "bytes";
  d.tokens = byte_letters();
  for (const auto& [left, right] : merges) d.tokens.push_back(left + right);
  d.merges = merges;
  return d;
}

TEST(Bpe, AWordThatIsATokenCanBeTakenWhole) {
  BpeDefinition d = bytes_and({});
  d.tokens.push_back("ab");
  EXPECT_EQ(make_bpe(d)->encode("ab"), (std::vector<int32_t>{'a', 'b'}));
  d.ignore_merges = true;
  EXPECT_EQ(make_bpe(d)->encode("ab"), std::vector<int32_t>{256});
  EXPECT_EQ(make_bpe(d)->encode("abb"), (std::vector<int32_t>{'a', 'b', 'b'}));
}

TEST(Bpe, TheMongolianVowelSeparatorIsNoWhiteSpace) {
  // U+180E is e1 a0 8e: with a space before it, it is one word, in which the merge is found.
  BpeDefinition d = bytes_and({{byte_letters()[' '], byte_letters()[0xe1]}});
  d.steps = pretokenizer_steps("gpt2", "here");
  EXPECT_EQ(make_bpe(d)->encode(" \u180ex"), (std::vector<int32_t>{256, 0xa0, 0x8e, 'x'}));
  EXPECT_EQ(make_bpe(d)->encode(" \u1680x"), (std::vector<int32_t>{' ', 0xe1, 0x9a, 0x80, 'x'}));
}

TEST(Bpe, OfAddedTokensTheLongestIsFound) {
  BpeDefinition d = bytes_and({});
  for (const char* text : {"<a", "<a><b>", "<a>"}) {
    d.added.push_back({.id = static_cast<int32_t>(d.tokens.size()), .text = text});
    d.tokens.push_back(text);
  }
  EXPECT_EQ(make_bpe(d)->encode("<a<a><a><b>"), (std::vector<int32_t>{256, 258, 257}));
}

TEST(Bpe, AMillionEqualCharactersTakeNoTime) {
  for (const std::string file : {"gpt2.json", "llama-bpe.json", "spm-llama.json",
                                 "spm-metaspace.json", "spm-gemma.json", "spm-phrases.json"}) {
    const auto tokenizer = load_tokenizer(kTokenizers + file);
    for (const char* unit : {"a", " ", "\n", ".", "5", "\xf0\x9f\x98\x80", "\xff", "<", " a",
                             "ab \n", "\xe2\x96\x81"}) {
      std::string text;
      while (text.size() < 1000000) text += unit;
      std::vector<int32_t> ids;
      EXPECT_LT(seconds_of([&] { ids = tokenizer->encode(text, {.add_special_tokens = false}); }),
                10);
      if (!file.starts_with("spm")) {
        EXPECT_EQ(tokenizer->decode(ids), text);
      }
    }
  }
}

TEST(Bpe, APatternThatExplodesIsRefused) {
  Json file = read_json(kGpt2);
  file["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "(?:a+)+$"}, "behavior": "Isolated"}, {"type": "ByteLevel"}]})");
  const auto tokenizer = load_bytes("tokenizer.json", file.dump());
  expect_refused("match limit", [&] { tokenizer->encode(std::string(40, 'a') + "b"); });
}

TEST(Bpe, ANormalizerThatExplodesIsRefused) {
  BpeDefinition d = bytes_and({});
  const NormalizeStep twice{
      .kind = NormalizeStep::Kind::replace, .pattern = "a", .literal = true, .content = "aa"};
  d.normalizer.assign(8, twice);
  EXPECT_EQ(make_bpe(d)->encode("a").size(), 256u);
  for (const size_t steps : {13, 40}) {
    d.normalizer.assign(steps, twice);
    expect_refused("normalizer: makes more than", [&] { make_bpe(d)->encode("a"); });
  }
}

TEST(Bpe, PatternsMeanWhatTheyMeanToOniguruma) {
  const Json& patterns = expected()["patterns"];
  ASSERT_GE(patterns.size(), 40u);
  for (const auto& [pattern, rest] : patterns.items()) {
    BpeDefinition d = bytes_and({});
    d.steps = {{.pattern = pattern, .behavior = SplitBehavior::removed}};
    const auto tokenizer = make_bpe(d);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(patterns[""].get<std::string>())),
              rest.get<std::string>())
        << pattern;
  }
}

TEST(Bpe, APatternCanBeAPlainString) {
  Json file = read_json(kGpt2);
  file["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"String": "h"}, "behavior": "Isolated"},
      {"type": "ByteLevel", "use_regex": false, "add_prefix_space": false}]})");
  const auto tokenizer = load_bytes("tokenizer.json", file.dump());
  const auto ids = tokenizer->encode("the");
  ASSERT_EQ(ids.size(), 3u);
  EXPECT_EQ(tokenizer->decode(std::span(ids).subspan(1, 1)), "h");
}

struct Malformed {
  const char* name;
  void (*spoil)(Json&);
  const char* phrase;
};

const std::vector<Malformed> kMalformed{
    {"a list", [](Json& j) { j = Json::array(); }, "expected an object"},
    {"no model", [](Json& j) { j.erase("model"); }, "model is missing"},
    {"model is a list", [](Json& j) { j["model"] = Json::array(); }, "model: found []"},
    {"unigram", [](Json& j) { j["model"]["type"] = "Unigram"; }, "found \"Unigram\", expected BPE"},
    {"type is a number", [](Json& j) { j["model"]["type"] = 5; }, "model.type: found 5"},
    {"no type", [](Json& j) { j["model"].erase("type"); }, "model.type is missing"},
    {"no vocab", [](Json& j) { j["model"].erase("vocab"); }, "model.vocab is missing"},
    {"empty vocab", [](Json& j) { j["model"]["vocab"] = Json::object(); }, "model.vocab"},
    {"vocab is a list",
     [](Json& j) {
       j["model"]["vocab"] = {1, 2};
     },
     "an object of token to id"},
    {"negative id", [](Json& j) { j["model"]["vocab"]["a"] = -1; },
     "['a']: found -1, expected a token id"},
    {"id is a string", [](Json& j) { j["model"]["vocab"]["a"] = "1"; }, "['a']: found \"1\""},
    {"id is a fraction", [](Json& j) { j["model"]["vocab"]["a"] = 1.5; }, "['a']: found 1.5"},
    {"id is null", [](Json& j) { j["model"]["vocab"]["a"] = nullptr; }, "['a']: found null"},
    {"huge id", [](Json& j) { j["model"]["vocab"]["a"] = 9000000000; }, "['a']: found 9000000000"},
    {"id of 64 bits", [](Json& j) { j["model"]["vocab"]["a"] = UINT64_MAX; },
     "['a']: found 18446744073709551615"},
    {"id twice", [](Json& j) { j["model"]["vocab"]["a"] = j["model"]["vocab"]["b"]; },
     "an id of its own"},
    {"far away", [](Json& j) { j["model"]["vocab"]["beyond"] = 1050000; },
     "found 1050000, expected a token id in 0 .. 1049"},
    {"no merges", [](Json& j) { j["model"].erase("merges"); }, "model.merges is missing"},
    {"merges is an object", [](Json& j) { j["model"]["merges"] = Json::object(); },
     "model.merges: found {}"},
    {"merge is a number", [](Json& j) { j["model"]["merges"][3] = 7; }, "model.merges[3]: found 7"},
    {"merge without a space", [](Json& j) { j["model"]["merges"][3] = "ab"; },
     "model.merges[3]: found \"ab\""},
    {"merge of an empty token", [](Json& j) { j["model"]["merges"][3] = "a "; },
     "model.merges[3]: found \"a \""},
    {"merge of three",
     [](Json& j) {
       j["model"]["merges"][3] = {"a", "b", "c"};
     },
     "model.merges[3]: found"},
    {"merge of numbers",
     [](Json& j) {
       j["model"]["merges"][3] = {1, 2};
     },
     "model.merges[3][0]: found 1"},
    {"merge of unknown tokens", [](Json& j) { j["model"]["merges"][3] = "zzqq a"; },
     "'zzqq' is no token"},
    {"merge into an unknown token", [](Json& j) { j["model"]["merges"][3] = "< !"; },
     "'<!' is no token"},
    {"suffix of words", [](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; },
     "end_of_word_suffix"},
    {"dropout", [](Json& j) { j["model"]["dropout"] = 0.1; }, "model.dropout: found 0.1"},
    {"flag is text", [](Json& j) { j["model"]["ignore_merges"] = "yes"; },
     "model.ignore_merges: found \"yes\""},
    {"no pre_tokenizer", [](Json& j) { j.erase("pre_tokenizer"); }, "found no ByteLevel step"},
    {"pre_tokenizer is null", [](Json& j) { j["pre_tokenizer"] = nullptr; },
     "found no ByteLevel step"},
    {"unknown pre_tokenizer", [](Json& j) { j["pre_tokenizer"]["type"] = "Whitespace"; },
     "pre_tokenizer.type: found \"Whitespace\""},
    {"no bytes",
     [](Json& j) {
       j["pre_tokenizer"] = {{"type", "Digits"}};
     },
     "found no ByteLevel step, one at its end expected"},
    {"bytes before digits",
     [](Json& j) {
       j["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers":
         [{"type": "ByteLevel"}, {"type": "Digits"}]})");
     },
     "pretokenizers[1]: found"},
    {"bad regular expression",
     [](Json& j) {
       j["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers":
         [{"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated"}, {"type": "ByteLevel"}]})");
     },
     "pattern '(('"},
    {"empty pattern",
     [](Json& j) {
       j["pre_tokenizer"] = Json::parse(R"({"type": "Split", "pattern": {"Regex": ""},
         "behavior": "Isolated"})");
     },
     "not empty"},
    {"split behaviour",
     [](Json& j) {
       j["pre_tokenizer"] = Json::parse(R"({"type": "Split", "pattern": {"Regex": "a"},
         "behavior": "Scattered"})");
     },
     "found \"Scattered\", expected one of Isolated, Removed"},
    {"normalizer",
     [](Json& j) {
       j["normalizer"] = {{"type", "Strip"}};
     },
     "normalizer.type: found \"Strip\""},
    {"replacement of nothing",
     [](Json& j) {
       j["normalizer"] =
           Json::parse(R"({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "y"})");
     },
     "normalizer: pattern 'x*': can match the empty text"},
    {"added tokens are an object",
     [](Json& j) {
       j["added_tokens"] = {{"a", 1}};
     },
     "added_tokens: found"},
    {"added token without id", [](Json& j) { j["added_tokens"][0].erase("id"); },
     "added_tokens[0].id is missing"},
    {"added token without text", [](Json& j) { j["added_tokens"][0]["content"] = ""; },
     "added_tokens[0].content"},
    {"added token over another", [](Json& j) { j["added_tokens"][0]["id"] = 7; },
     "added_tokens[0]: found id 7 for '<|endoftext|>', which has id 0 in"},
    {"added token with another's id", [](Json& j) { j["added_tokens"][3]["id"] = 7; },
     "added_tokens[3]: found '<mask>' for id 7, which is '"},
    {"added token far away", [](Json& j) { j["added_tokens"][0]["id"] = 1 << 30; },
     "added_tokens[0].id"},
    {"unknown post_processor",
     [](Json& j) {
       j["post_processor"] = {{"type", "Bert"}};
     },
     "post_processor.type"},
    {"template of no token",
     [](Json& j) {
       j["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}, {"Sequence": {"id": "A"}}]})");
     },
     "post_processor.single[0]: found"},
    {"template of two tokens in front",
     [](Json& j) {
       const Json end = Json::parse(R"({"SpecialToken": {"id": "<|endoftext|>"}})");
       j["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", {end, end, {{"Sequence", {{"id", "A"}}}}}}};
     },
     "at most one token in front of the text"},
    {"template without the text",
     [](Json& j) {
       j["post_processor"] = Json::parse(R"({"type": "TemplateProcessing", "single": []})");
     },
     "a sequence among its pieces"},
    {"template with another id",
     [](Json& j) {
       j["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
         "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<|endoftext|>"}}],
         "special_tokens": {"<|endoftext|>": {"ids": [5]}}})");
     },
     "ids: found [5], expected [0]"},
    {"template of an id without a token",
     [](Json& j) {
       j["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<x>"}}, {"Sequence": {"id": "A"}}],
         "special_tokens": {"<x>": {"ids": [5000]}}})");
     },
     "post_processor.single[0]: found"},
    {"ends of another id",
     [](Json& j) {
       j["post_processor"] = Json::parse(
           R"({"type": "BertProcessing", "cls": ["<|endoftext|>", 0], "sep": ["<|endoftext|>", 3]})");
     },
     "post_processor.sep: found [\"<|endoftext|>\",3], expected a token and its id"},
    {"set in a set",
     [](Json& j) {
       j["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [{"type": "Split",
         "pattern": {"Regex": "[a[bc]]"}, "behavior": "Isolated"}, {"type": "ByteLevel"}]})");
     },
     "pattern '[a[bc]]': found a set in a set"},
    {"intersection of sets",
     [](Json& j) {
       j["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [{"type": "Split",
         "pattern": {"Regex": "[\\w&&[^a]]"}, "behavior": "Isolated"}, {"type": "ByteLevel"}]})");
     },
     "found an intersection of sets"},
};

TEST(Bpe, MalformedFilesAreRefusedByField) {
  const TemporaryDirectory directory;
  for (const Malformed& c : kMalformed) {
    SCOPED_TRACE(c.name);
    Json file = read_json(kGpt2);
    c.spoil(file);
    const std::string path = directory.write("tokenizer.json", file.dump());
    expect_refused(c.phrase, [&] { load_tokenizer(path); });
    expect_refused(path, [&] { load_tokenizer(path); });
  }
}

TEST(Bpe, AVocabularyWithAKeyTwiceIsRefused) {
  const std::string whole = read_bytes(kGpt2);
  const size_t at = whole.find("\"vocab\":{") + 9;
  const TemporaryDirectory directory;
  const std::string path =
      directory.write("tokenizer.json", whole.substr(0, at) + "\"a\":5," + whole.substr(at));
  expect_refused("key 'a' is given twice", [&] { load_tokenizer(path); });
}

TEST(Bpe, ATruncatedFileIsRefusedWhereverItEnds) {
  const std::string whole = read_bytes(kGpt2);
  const TemporaryDirectory directory;
  for (size_t length = 0; length < whole.size(); length += length < 100 ? 1 : 97)
    EXPECT_NE(format_error([&] {
                load_tokenizer(directory.write("tokenizer.json", whole.substr(0, length)));
              }),
              "")
        << length;
}

TEST(Bpe, AChangedFileIsReadOrRefused) {
  for (const char* file : {"gpt2.json", "nfkc.json", "spm-metaspace.json", "spm-phrases.json"}) {
    const int refused =
        read_mutations(read_bytes(kTokenizers + file), 300, 1, [](const std::string& path) {
          load_tokenizer(path)->encode("<s> Once upon a time, 12 caf\xc3\xa9 \xff word");
        });
    EXPECT_GT(refused, 10) << file;
  }
}

}  // namespace
}  // namespace halftone
