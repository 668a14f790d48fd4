#include "halftone/text/tokenizer.h"

#include <gtest/gtest.h>

#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

struct Fixture {
  const char* file;
  const char* expected;
};

class TokenizerFixtures : public ::testing::TestWithParam<Fixture> {};

TEST_P(TokenizerFixtures, GiveTheIdsOfTheirOwnLibraries) {
  const auto tokenizer = load_tokenizer(kTokenizers + GetParam().file);
  const Json expected = read_json(kTokenizers + "expected.json")[GetParam().expected];
  ASSERT_GE(expected.size(), 40u);
  for (const Json& sample : expected) {
    const std::string text = sample[0];
    SCOPED_TRACE(printable(text));
    EXPECT_EQ(tokenizer->encode(text), sample[1].get<Ids>());
    EXPECT_EQ(tokenizer->encode(text, {.parse_special = false}), sample[2].get<Ids>());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, TokenizerFixtures,
    ::testing::Values(Fixture{"gpt2.json", "gpt2"}, Fixture{"smollm.json", "smollm"},
                      Fixture{"smollm.gguf", "smollm"}, Fixture{"llama-bpe.json", "llama-bpe"},
                      Fixture{"llama-bpe.gguf", "llama-bpe"}, Fixture{"qwen2.json", "qwen2"},
                      Fixture{"prefix-space.json", "prefix-space"}, Fixture{"spm.model", "spm"},
                      Fixture{"spm.gguf", "spm"}),
    [](const auto& info) {
      std::string name = info.param.file;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
      return name;
    });

TEST(Tokenizer, OptionsDecideOnTheTokenInFront) {
  for (const char* file : {"llama-bpe.json", "llama-bpe.gguf", "spm.model", "spm.gguf"}) {
    const auto tokenizer = load_tokenizer(kTokenizers + file);
    ASSERT_TRUE(tokenizer->bos()) << file;
    EXPECT_EQ(tokenizer->encode("Hello")[0], *tokenizer->bos()) << file;
    EXPECT_EQ(tokenizer->encode(""), Ids{*tokenizer->bos()}) << file;
    EXPECT_TRUE(tokenizer->encode("", {.add_special_tokens = false}).empty()) << file;
    EXPECT_TRUE(tokenizer->special(*tokenizer->bos())) << file;
    EXPECT_FALSE(tokenizer->special(tokenizer->vocab_size() - 1)) << file;
  }
  EXPECT_FALSE(load_tokenizer(kTokenizers + "gpt2.json")->bos());
}

TEST(Tokenizer, TheEndTokenIsTheFoldersBeforeTheNamesOne) {
  const TemporaryDirectory folder;
  const std::string json = read_bytes(kTokenizers + "gpt2.json");
  const auto eos = [&] { return load_tokenizer(folder.path())->eos(); };
  folder.write("tokenizer.json", json);
  EXPECT_EQ(eos(), 0);  // <|endoftext|>
  folder.write("config.json", R"({"eos_token_id": [5, 6]})");
  EXPECT_EQ(eos(), 5);
  folder.write("config.json", R"({"eos_token_id": 7})");
  EXPECT_EQ(eos(), 7);
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<|im_start|>"}})");
  EXPECT_EQ(eos(), 2);
  folder.write("tokenizer_config.json", R"({"eos_token": "<|begin_of_text|>"})");
  EXPECT_EQ(eos(), 1);
  EXPECT_EQ(load_tokenizer(folder.file("tokenizer.json"))->eos(), 1);
  folder.write("tokenizer_config.json", R"({"eos_token": null})");
  folder.write("config.json", R"({"eos_token_id": null})");
  EXPECT_EQ(eos(), 0);
}

TEST(Tokenizer, AFolderWithWrongSettingsIsRefused) {
  const TemporaryDirectory folder;
  folder.write("tokenizer.json", read_bytes(kTokenizers + "gpt2.json"));
  const auto refused = [&](const char* name, const char* content, const char* phrase) {
    SCOPED_TRACE(content);
    folder.write(name, content);
    expect_refused(phrase, [&] { load_tokenizer(folder.path()); });
    std::filesystem::remove(folder.file(name));
  };
  refused("tokenizer_config.json", "[]", "expected an object");
  refused("tokenizer_config.json", R"({"eos_token": 5})", "eos_token: found 5, expected a string");
  refused("tokenizer_config.json", R"({"eos_token": {}})", "eos_token.content is missing");
  refused("tokenizer_config.json", R"({"eos_token": "<nothing>"})",
          "'<nothing>', which is no token");
  refused("tokenizer_config.json", R"({"add_bos_token": 1})", "add_bos_token: found 1");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "y"}}})",
          "token id");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": []})", "an object of id to token");
  refused("config.json", R"({"eos_token_id": 100000})", "eos_token_id 100000");
  refused("config.json", R"({"eos_token_id": -1})", "eos_token_id: found -1");
  refused("config.json", R"({"eos_token_id": "2"})", "eos_token_id: found \"2\"");
  refused("config.json", R"({"eos_token_id": [1.5]})", "eos_token_id[0]: found 1.5");
  refused("config.json", "{", "config.json");
  EXPECT_EQ(load_tokenizer(folder.path())->eos(), 0);
}

TEST(Tokenizer, AFolderGivesItsSentencepieceModelWhereTheJsonIsOfThatKind) {
  const TemporaryDirectory folder;
  expect_refused("neither tokenizer.json nor tokenizer.model",
                 [&] { load_tokenizer(folder.path()); });
  folder.write("tokenizer.model", read_bytes(kTokenizers + "spm.model"));
  const std::string hash = load_tokenizer(folder.path())->hash();
  folder.write("tokenizer.json",
               R"({"model": {"type": "BPE", "byte_fallback": true, "vocab": {}}})");
  EXPECT_EQ(load_tokenizer(folder.path())->hash(), hash);
  folder.write("tokenizer.json", read_bytes(kTokenizers + "gpt2.json"));
  EXPECT_NE(load_tokenizer(folder.path())->hash(), hash);
}

TEST(Tokenizer, AHashIsThatOfWhatDecidesIds) {
  std::vector<std::string> hashes;
  for (const char* file : {"gpt2.json", "smollm.json", "llama-bpe.json", "qwen2.json",
                           "prefix-space.json", "spm.model", "spm.gguf"}) {
    hashes.push_back(load_tokenizer(kTokenizers + file)->hash());
    EXPECT_EQ(hashes.back().size(), 64u);
    EXPECT_EQ(hashes.back(), load_tokenizer(kTokenizers + file)->hash()) << file;
  }
  const auto changed = [&](const std::function<void(Json&)>& change) {
    Json file = read_json(kTokenizers + "gpt2.json");
    change(file);
    hashes.push_back(load_bytes("tokenizer.json", file.dump())->hash());
  };
  changed([](Json& j) { j["pre_tokenizer"]["add_prefix_space"] = true; });
  changed([](Json& j) { j["pre_tokenizer"]["use_regex"] = false; });
  changed([](Json& j) { j["normalizer"] = {{"type", "NFC"}}; });
  changed([](Json& j) { j["model"]["ignore_merges"] = true; });
  changed([](Json& j) { std::swap(j["model"]["merges"][0], j["model"]["merges"][1]); });
  changed([](Json& j) { std::swap(j["model"]["vocab"]["a"], j["model"]["vocab"]["b"]); });
  changed([](Json& j) { j["added_tokens"][0]["lstrip"] = true; });
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
  Json file = read_json(kTokenizers + "gpt2.json");
  EXPECT_EQ(load_bytes("tokenizer.json", file.dump(4))->hash(),
            load_tokenizer(kTokenizers + "gpt2.json")->hash());  // white space decides nothing
}

TEST(Tokenizer, DecodingIsPieceByPiece) {
  for (const char* file : {"gpt2.json", "llama-bpe.gguf", "spm.model", "spm.gguf"}) {
    const auto tokenizer = load_tokenizer(kTokenizers + file);
    const Ids ids = tokenizer->encode("Once upon a time 12, \xc3\xa9t\xc3\xa9");
    std::string joined;
    for (const int32_t id : ids) joined += tokenizer->decode(std::span(&id, 1));
    EXPECT_EQ(tokenizer->decode(ids), joined) << file;
    const Ids unknown{static_cast<int32_t>(tokenizer->vocab_size())}, negative{-1};
    EXPECT_THROW(tokenizer->decode(unknown), std::invalid_argument) << file;
    EXPECT_THROW(tokenizer->decode(negative), std::invalid_argument) << file;
  }
}

TEST(Tokenizer, MissingFilesAreNamed) {
  for (const char* path :
       {"/nowhere/tokenizer.json", "/nowhere/tokenizer.model", "/nowhere/x.gguf"})
    expect_refused(path, [&] { load_tokenizer(path); });
}

}  // namespace
}  // namespace halftone
