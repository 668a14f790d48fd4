#include "halftone/text/tokenizer.h"

#include <gtest/gtest.h>

#include "halftone/text/spm.h"
#include "text/loaders.h"
#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// The ids of every text, and with null for those that are the same as `otherwise`.
void expect_ids(const Tokenizer& tokenizer, const EncodeOptions& options, const Json& all,
                const Json& otherwise = {}) {
  const Json& texts = expected()["texts"];
  ASSERT_EQ(all.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const Json& ids = all[i].is_null() ? otherwise[i] : all[i];
    EXPECT_EQ(tokenizer.encode(text, options), ids.get<Ids>()) << printable(text);
  }
}

struct Fixture {
  const char* file;
  const char* kind;
};

class TokenizerFixtures : public ::testing::TestWithParam<Fixture> {};

TEST_P(TokenizerFixtures, GiveTheIdsOfTheirOwnLibraries) {
  const auto tokenizer = load_tokenizer(kTokenizers + GetParam().file);
  ASSERT_GE(expected()["texts"].size(), 600u);
  const Json& kind = expected()["kinds"][GetParam().kind];
  expect_ids(*tokenizer, {}, kind["ids"]);
  expect_ids(*tokenizer, {.parse_special = false}, kind["plain"], kind["ids"]);
}

INSTANTIATE_TEST_SUITE_P(
    Files, TokenizerFixtures,
    ::testing::Values(Fixture{"gpt2.json", "gpt2"}, Fixture{"smollm.json", "smollm"},
                      Fixture{"smollm.gguf", "smollm"}, Fixture{"llama-bpe.json", "llama-bpe"},
                      Fixture{"llama-bpe.gguf", "llama-bpe"}, Fixture{"qwen2.json", "qwen2"},
                      Fixture{"prefix-space.json", "prefix-space"}, Fixture{"nfkc.json", "nfkc"},
                      Fixture{"spm.model", "spm"}, Fixture{"spm.gguf", "spm"},
                      Fixture{"spm-llama.json", "spm-llama"}, Fixture{"spm.gguf", "spm-llama"},
                      Fixture{"spm-metaspace.json", "spm-metaspace"},
                      Fixture{"spm-split.json", "spm-split"},
                      Fixture{"spm-gemma.json", "spm-gemma"},
                      Fixture{"spm-phrases.json", "spm-phrases"}, Fixture{"merges.json", "merges"},
                      Fixture{"partial.json", "partial"}),
    [](const auto& info) {
      std::string name = std::string(info.param.file) + " " + info.param.kind;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
      return name;
    });

TEST(Tokenizer, GivesTheTextsOfHuggingFace) {
  for (const char* name : {"smollm", "llama-bpe", "prefix-space", "spm-llama", "spm-metaspace",
                           "spm-split", "spm-gemma", "spm-phrases", "merges", "partial"}) {
    const auto tokenizer = load_tokenizer(kTokenizers + name + ".json");
    const Json& kind = expected()["kinds"][name];
    const Json& texts = expected()["texts"];
    ASSERT_EQ(kind["decoded"].size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i)
      EXPECT_EQ(tokenizer->decode_text(kind["ids"][i].get<Ids>()),
                (kind["decoded"][i].is_null() ? texts : kind["decoded"])[i].get<std::string>())
          << name;
  }
}

TEST(TokenizerFolders, GiveTheIdsOfAutoTokenizer) {
  ASSERT_GE(expected()["folders"].size(), 11u);
  for (const Json& folder : expected()["folders"]) {
    SCOPED_TRACE(folder["name"]);
    const TemporaryDirectory directory;
    for (const auto& [name, fixture] : folder["copies"].items())
      directory.write(name, read_bytes(kTokenizers + fixture.get<std::string>()));
    for (const auto& [name, content] : folder["files"].items())
      directory.write(name, content.is_string() ? content.get<std::string>() : content.dump());
    const auto tokenizer = load_tokenizer(directory.path());
    expect_ids(*tokenizer, {}, folder["ids"]);
    EXPECT_EQ(Json(*tokenizer->eos()), folder["eos"]);
  }
}

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
  folder.write("generation_config.json", R"({"eos_token_id": [9, 7]})");
  EXPECT_EQ(eos(), 9);
  folder.write("special_tokens_map.json", R"({"eos_token": "<mask>"})");
  EXPECT_EQ(eos(), 800);
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<|im_start|>"}})");
  EXPECT_EQ(eos(), 2);
  folder.write("tokenizer_config.json", R"({"eos_token": "<|begin_of_text|>"})");
  EXPECT_EQ(eos(), 1);
  EXPECT_EQ(load_tokenizer(folder.file("tokenizer.json"))->eos(), 1);
  folder.write("tokenizer_config.json", R"({"eos_token": null})");
  folder.write("special_tokens_map.json", "{}");
  folder.write("generation_config.json", R"({"eos_token_id": []})");
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
  refused("tokenizer_config.json", R"({"split_special_tokens": true})",
          "split_special_tokens: found true, expected false");
  refused("special_tokens_map.json", R"({"pad_token": 3})", "pad_token: found 3");
  refused("special_tokens_map.json", R"({"additional_special_tokens": "x"})", "expected an array");
  refused("added_tokens.json", R"({"<x>": -1})", "['<x>']: found -1");
  refused("generation_config.json", R"({"eos_token_id": 808})",
          "generation_config.json: eos_token_id: found 808, a token id below 808");
  refused("tokenizer_config.json", R"({"add_bos_token": 1})", "add_bos_token: found 1");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "y"}}})",
          "token id");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": []})", "an object of id to token");
  refused("config.json", R"({"eos_token_id": 100000})", "eos_token_id: found 100000");
  refused("config.json", R"({"eos_token_id": -1})", "eos_token_id: found -1");
  refused("config.json", R"({"eos_token_id": "2"})", "eos_token_id: found \"2\"");
  refused("config.json", R"({"eos_token_id": [1.5]})", "eos_token_id[0]: found 1.5");
  refused("config.json", "{", "config.json");
  EXPECT_EQ(load_tokenizer(folder.path())->eos(), 0);
}

// llama.cpp's converter writes Gemma's pieces with their scores, and that no space is put in front.
TEST(Tokenizer, AGgufOfGemmasPiecesGivesTheIdsOfItsTokenizerJson) {
  SpmDefinition definition =
      std::get<SpmDefinition>(read_gguf_tokenizer(GgufMetadata::read(kTokenizers + "spm.gguf")));
  definition.add_space_prefix = false;
  const auto tokenizer = make_spm(std::move(definition));
  const Json &texts = expected()["texts"], &ids = expected()["kinds"]["spm-gemma"]["ids"];
  int compared = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const auto holds = [&](const char* added) { return text.find(added) != text.npos; };
    if (holds("<mask>") || holds("<cut>") || holds("word") || holds("token")) continue;
    EXPECT_EQ(tokenizer->encode(text), ids[i].get<Ids>()) << printable(text);
    ++compared;
  }
  EXPECT_GT(compared, 500);
}

TEST(Tokenizer, FilesOfAVocabularyAreRefusedByName) {
  const TemporaryDirectory folder;
  folder.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "</s>": 3})");
  expect_refused("nor vocab.json and merges.txt", [&] { load_tokenizer(folder.path()); });
  folder.write("merges.txt", "#version: 0.2\na b\r\n");
  EXPECT_EQ(load_tokenizer(folder.path())->encode("ab"), (Ids{2}));
  folder.write("merges.txt", "#version: 0.2\na b c\n");
  expect_refused("merges.txt: line 2: found \"a b c\", expected two tokens",
                 [&] { load_tokenizer(folder.path()); });
  folder.write("merges.txt", "a b\n");
  folder.write("tokenizer_config.json", R"({"add_bos_token": true})");
  expect_refused("there is no token '<|endoftext|>', the bos_token",
                 [&] { load_tokenizer(folder.path()); });
  folder.write("tokenizer_config.json", R"({"add_bos_token": true, "bos_token": "</s>"})");
  EXPECT_EQ(load_tokenizer(folder.path())->encode("ab"), (Ids{3, 2}));
}

TEST(Tokenizer, AFolderGivesItsSentencepieceModelWhereTheJsonIsUnigram) {
  const TemporaryDirectory folder;
  expect_refused("neither tokenizer.json nor tokenizer.model",
                 [&] { load_tokenizer(folder.path()); });
  folder.write("tokenizer.model", read_bytes(kTokenizers + "spm.model"));
  const std::string hash = load_tokenizer(folder.path())->hash();
  folder.write("tokenizer.json", R"({"model": {"type": "Unigram", "vocab": []}})");
  EXPECT_EQ(load_tokenizer(folder.path())->hash(), hash);
  folder.write("tokenizer.json", read_bytes(kTokenizers + "spm-llama.json"));
  EXPECT_NE(load_tokenizer(folder.path())->hash(), hash);
  std::filesystem::remove(folder.file("tokenizer.model"));
  folder.write("tokenizer.json", R"({"model": {"type": "Unigram", "vocab": []}})");
  expect_refused("model.type: found \"Unigram\", expected BPE",
                 [&] { load_tokenizer(folder.path()); });
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
    const Ids beyond{static_cast<int32_t>(tokenizer->vocab_size()), INT32_MAX}, negative{-1};
    EXPECT_EQ(tokenizer->decode(beyond), "") << file;
    EXPECT_FALSE(tokenizer->known(beyond[0]) || tokenizer->known(beyond[1]) ||
                 tokenizer->known(-1));
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
