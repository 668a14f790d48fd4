#include "halftone/text/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "halftone/base/error.h"
#include "halftone/base/rng.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

const std::string kEmbedded = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher/tokenizer.json";

Json read_json(const std::string& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

// A tokenizer.json in a file of its own, gone with the object.
class TokenizerFile {
 public:
  explicit TokenizerFile(const std::string& content) : path_(::testing::TempDir() + "tokenizer-" + std::to_string(getpid()) + ".json") {
    std::ofstream(path_) << content;
  }
  ~TokenizerFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Bpe, GivesTheIdsOfHuggingFacesTokenizers) {
  const Json expected = read_json(HALFTONE_SOURCE_DIR "/tests/fixtures/tokenizers/expected.json");
  Json file = read_json(kEmbedded);
  int compared = 0;
  for (const auto& [name, fixture] : expected.items()) {
    file["pre_tokenizer"] = fixture["pre_tokenizer"];
    const TokenizerFile written(file.dump());
    const auto tokenizer = load_tokenizer(written.path());
    for (const Json& sample : fixture["texts"]) {
      const std::string text = sample["text"];
      EXPECT_EQ(tokenizer->encode(text), sample["ids"].get<std::vector<int32_t>>()) << name << ": " << printable(text);
      ++compared;
    }
  }
  EXPECT_GT(compared, 100);
}

TEST(Bpe, EveryStringOfBytesComesBack) {
  const auto tokenizer = load_tokenizer(kEmbedded);
  Rng rng(1, RngStream::test);
  for (int trial = 0; trial < 500; ++trial) {
    std::string bytes;
    const uint64_t length = rng.below(80);
    for (uint64_t i = 0; i < length; ++i) bytes += static_cast<char>(trial % 2 ? rng.below(256) : 32 + rng.below(96));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes)), bytes);
  }
  for (const char* broken : {"\xc0\xaf", "\xed\xa0\x80", "\xf0\x9f\x98", "\xff\xfe", "a\x80z"}) EXPECT_EQ(tokenizer->decode(tokenizer->encode(broken)), broken);
}

TEST(Bpe, AMillionEqualLettersTakeNoTime) {
  const auto tokenizer = load_tokenizer(kEmbedded);
  const auto start = std::chrono::steady_clock::now();
  const std::string text(1000000, 'a');
  const auto ids = tokenizer->encode(text);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 10);
  EXPECT_EQ(tokenizer->decode(ids), text);
}

TEST(Bpe, SpecialTokensInTheTextCanBeLeftAsText) {
  const auto tokenizer = load_tokenizer(kEmbedded);
  const auto plain = tokenizer->encode("<|endoftext|>", {.parse_special = false});
  EXPECT_GT(plain.size(), 1u);
  EXPECT_EQ(tokenizer->decode(plain), "<|endoftext|>");
  EXPECT_EQ(tokenizer->encode("<|endoftext|>"), std::vector<int32_t>{*tokenizer->eos()});
  EXPECT_TRUE(tokenizer->special(*tokenizer->eos()));
}

TEST(Bpe, TheHashChangesWithWhatDecidesIds) {
  Json file = read_json(kEmbedded);
  const std::string before = load_tokenizer(kEmbedded)->hash();
  file["pre_tokenizer"]["add_prefix_space"] = true;
  EXPECT_NE(load_tokenizer(TokenizerFile(file.dump()).path())->hash(), before);
}

struct Malformed {
  const char* name;
  void (*spoil)(Json&);
  const char* expected;  // in the message
};

TEST(Bpe, MalformedFilesAreRefusedByField) {
  const std::vector<Malformed> cases{
      {"no model", [](Json& j) { j.erase("model"); }, "model is missing"},
      {"model is a list", [](Json& j) { j["model"] = Json::array(); }, "model"},
      {"unigram", [](Json& j) { j["model"]["type"] = "Unigram"; }, "expected BPE"},
      {"type is a number", [](Json& j) { j["model"]["type"] = 5; }, "model.type"},
      {"no vocab", [](Json& j) { j["model"].erase("vocab"); }, "model.vocab is missing"},
      {"empty vocab", [](Json& j) { j["model"]["vocab"] = Json::object(); }, "model.vocab"},
      {"vocab is a list", [](Json& j) { j["model"]["vocab"] = Json::array({1, 2}); }, "model.vocab"},
      {"negative id", [](Json& j) { j["model"]["vocab"]["a"] = -1; }, "token id"},
      {"id is a string", [](Json& j) { j["model"]["vocab"]["a"] = "1"; }, "token id"},
      {"id is a fraction", [](Json& j) { j["model"]["vocab"]["a"] = 1.5; }, "token id"},
      {"huge id", [](Json& j) { j["model"]["vocab"]["a"] = 9000000000; }, "token id"},
      {"id twice", [](Json& j) { j["model"]["vocab"]["a"] = j["model"]["vocab"]["b"]; }, "an id of its own"},
      {"gap", [](Json& j) { j["model"]["vocab"]["beyond"] = 5000; }, "found 5000, expected a token id in 0 .. 2048"},
      {"no merges", [](Json& j) { j["model"].erase("merges"); }, "model.merges is missing"},
      {"merge without a space", [](Json& j) { j["model"]["merges"][3] = "ab"; }, "model.merges[3]"},
      {"merge of three", [](Json& j) { j["model"]["merges"][3] = Json::array({"a", "b", "c"}); }, "model.merges[3]"},
      {"merge of unknown tokens", [](Json& j) { j["model"]["merges"][3] = "zzqq xxyy"; }, "merges[3]"},
      {"no pre_tokenizer", [](Json& j) { j.erase("pre_tokenizer"); }, "pre_tokenizer is missing"},
      {"unknown pre_tokenizer", [](Json& j) { j["pre_tokenizer"]["type"] = "Metaspace"; }, "pre_tokenizer.type"},
      {"bad regular expression", [](Json& j) { j["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(("}}}, {"behavior", "Isolated"}}; }, "pattern"},
      {"split behaviour", [](Json& j) { j["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Removed"}}; }, "Isolated"},
      {"normalizer", [](Json& j) { j["normalizer"] = {{"type", "Lowercase"}}; }, "normalizer"},
      {"added token without id", [](Json& j) { j["added_tokens"][0].erase("id"); }, "added_tokens[0].id is missing"},
      {"added token over another", [](Json& j) { j["added_tokens"][0]["id"] = 7; }, "added_tokens[0]"},
      {"unknown post_processor", [](Json& j) { j["post_processor"] = {{"type", "Bert"}}; }, "post_processor.type"},
  };
  for (const Malformed& c : cases) {
    Json file = read_json(kEmbedded);
    c.spoil(file);
    const TokenizerFile written(file.dump());
    try {
      load_tokenizer(written.path());
      ADD_FAILURE() << c.name << ": accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format) << c.name;
      EXPECT_NE(std::string(error.what()).find(c.expected), std::string::npos) << c.name << ": " << error.what();
    }
  }
}

TEST(Bpe, ATruncatedFileIsRefusedWhereverItEnds) {
  std::ifstream file(kEmbedded);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  for (size_t length = 0; length + 2 < whole.size(); length += 997) {
    const TokenizerFile cut(whole.substr(0, length));
    EXPECT_THROW(load_tokenizer(cut.path()), Error) << length;
  }
  EXPECT_THROW(load_tokenizer(::testing::TempDir()), Error);
  EXPECT_THROW(load_tokenizer("/nowhere/tokenizer.json"), Error);
}

}  // namespace
}  // namespace halftone
