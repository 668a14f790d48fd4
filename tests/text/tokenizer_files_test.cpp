#include "halftone/text/tokenizer_files.h"

#include <gtest/gtest.h>

#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// The files written into a folder.
void write_files(const TemporaryDirectory& folder,
                 const std::map<std::string, std::string>& files) {
  for (const auto& [name, bytes] : files) folder.write(name, bytes);
}

// `file`'s tokenizer and that of the files that are made of it, on every text.
void expect_same_ids(const std::string& file) {
  const TemporaryDirectory folder;
  write_files(folder, tokenizer_files(file));
  const auto own = load_tokenizer(file), made = load_tokenizer(folder.path());
  EXPECT_EQ(made->eos(), own->eos());
  EXPECT_EQ(made->bos(), own->bos());
  for (const Json& text : expected()["texts"])
    for (const bool parse : {true, false}) {
      const EncodeOptions options{.parse_special = parse};
      const Ids ids = own->encode(text.get<std::string>(), options);
      EXPECT_EQ(made->encode(text.get<std::string>(), options), ids) << text;
      EXPECT_EQ(made->decode(ids), own->decode(ids)) << text;
    }
}

TEST(TokenizerFiles, OfAGgufGiveTheSameIds) {
  for (const char* file : {"spm.gguf", "smollm.gguf", "llama-bpe.gguf"}) {
    SCOPED_TRACE(file);
    expect_same_ids(kTokenizers + file);
  }
}

TEST(TokenizerFiles, OfAGgufByScoresAreThoseThatMakeTellsHuggingFace) {
  const auto files = tokenizer_files(kTokenizers + "spm.gguf");
  EXPECT_EQ(Json::parse(files.at("tokenizer.json")), read_json(kTokenizers + "spm-llama.json"));
}

TEST(TokenizerFiles, OfAGgufSayWhatItsMetadataSay) {
  const auto files = tokenizer_files(kTokenizers + "smollm.gguf");
  EXPECT_EQ(files.size(), 3u);
  const Json settings = Json::parse(files.at("tokenizer_config.json"));
  EXPECT_EQ(settings["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_EQ(settings["bos_token"], "<|begin_of_text|>");
  EXPECT_EQ(settings["eos_token"], "<|endoftext|>");
  EXPECT_EQ(settings["pad_token"], "<|endoftext|>");
  EXPECT_EQ(settings["add_bos_token"], false);
  EXPECT_FALSE(settings.contains("unk_token"));
  EXPECT_EQ(settings["chat_template"],
            Json::parse(R"([{"name": "default", "template": "{{ messages }}"},
                            {"name": "tool", "template": "{{ tools }}"}])"));
  EXPECT_EQ(Json::parse(files.at("generation_config.json")),
            Json::parse(R"({"eos_token_id": [0, 2], "bos_token_id": 1, "pad_token_id": 0})"));
  EXPECT_EQ(Json::parse(files.at("tokenizer.json"))["model"]["vocab"].size(), 800u);  // no [PAD800]
}

TEST(TokenizerFiles, OfAGgufWithoutATokenizerAreNone) {
  GgufBuilder b;
  b.add_string("general.architecture", "llama");
  const TemporaryDirectory directory;
  const std::string path = directory.write("a.gguf", b.bytes());
  EXPECT_TRUE(tokenizer_files(path).empty());
  EXPECT_TRUE(end_tokens(path).empty());
}

TEST(TokenizerFiles, OfAFolderAreThoseThatBelongToItAsTheyAre) {
  const TemporaryDirectory folder;
  std::map<std::string, std::string> files;
  std::filesystem::create_directory(folder.file("additional_chat_templates"));
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "chat_template.jinja", "chat_template.json", "vocab.json",
        "merges.txt", "generation_config.json", "additional_chat_templates/tool.jinja"})
    folder.write(name, files[name] = std::string("bytes of ") + name + '\0');
  folder.write("config.json", "{}");
  folder.write("model.safetensors", "x");
  folder.write("additional_chat_templates/notes.txt", "x");
  EXPECT_EQ(tokenizer_files(folder.path()), files);
  EXPECT_EQ(tokenizer_files(folder.file("tokenizer.json")), files);
}

TEST(TokenizerJson, WhatIsReadIsWritten) {
  for (const char* file :
       {"gpt2", "smollm", "llama-bpe", "qwen2", "prefix-space", "nfkc", "spm-llama",
        "spm-metaspace", "spm-split", "spm-gemma", "spm-phrases", "merges", "partial"}) {
    BpeDefinition definition = read_tokenizer_json(kTokenizers + file + ".json");
    const auto again = load_bytes("tokenizer.json", tokenizer_json(definition));
    EXPECT_EQ(again->hash(), make_bpe(definition)->hash()) << file;
    const Ids ids = again->encode("<s> Once upon a time");
    EXPECT_EQ(again->decode_text(ids), make_bpe(definition)->decode_text(ids)) << file;
  }
}

TEST(TokenizerJson, AddedTokensKeepTheirIdsWhereTheyLeaveHoles) {
  BpeDefinition d{.source = "here", .tokens = byte_letters()};
  d.added = {{.id = 300, .text = "<b>"}, {.id = 256, .text = "<a>", .special = true}};
  const Json json = Json::parse(tokenizer_json(d));
  EXPECT_EQ(json["model"]["vocab"].at("<b>"), 300);  // tokenizers would give it 257
  EXPECT_EQ(load_bytes("tokenizer.json", json.dump())->encode("<a><b>"), (Ids{256, 300}));
  d.added = {{.id = 256, .text = "<a>"}, {.id = 257, .text = "<b>"}};
  EXPECT_FALSE(Json::parse(tokenizer_json(d))["model"]["vocab"].contains("<b>"));
}

SpmDefinition letters_with_equal_scores() {
  SpmDefinition d{.source = "equal", .tokens = {"<unk>", "a", "b", "c", "bc", "ab"}};
  d.scores = {0, -5, -5, -5, -1, -1};
  d.types.assign(6, SpmType::normal);
  d.types[0] = SpmType::unknown;
  d.add_space_prefix = false;
  return d;
}

TEST(TokenizerJson, OfEqualScoresTheLowerIdIsJoinedFirst) {
  const SpmDefinition d = letters_with_equal_scores();
  const auto written = load_bytes("tokenizer.json", tokenizer_json(d));
  EXPECT_EQ(make_spm(d)->encode("abc"), (Ids{5, 3}));  // the leftmost
  EXPECT_EQ(written->encode("abc"), (Ids{1, 4}));
  EXPECT_EQ(written->encode("abbc"), (Ids{5, 4}));  // no overlap, no difference
}

TEST(TokenizerJson, WhatJsonCannotHoldIsRefused) {
  SpmDefinition d = letters_with_equal_scores();
  d.tokens[5] = "\xff";
  expect_refused("which is not UTF-8 and cannot be written", [&] { tokenizer_json(d); });
  d.tokens[5] = std::string(1025, 'a');
  expect_refused("equal: token 5 has 1025 bytes, at most 1024", [&] { tokenizer_json(d); });
  expect_refused("here: cannot be written as JSON", [] {
    tokenizer_json(BpeDefinition{.source = "here", .tokens = {"a"}, .unknown = "\xff"});
  });
}

TEST(EndTokens, AreThoseOfTheFirstFileThatNamesSome) {
  const TemporaryDirectory folder;
  folder.write("tokenizer.json", read_bytes(kTokenizers + "gpt2.json"));
  EXPECT_EQ(end_tokens(folder.path()), Ids{0});
  folder.write("config.json", R"({"eos_token_id": [3, 4]})");
  EXPECT_EQ(end_tokens(folder.file("tokenizer.json")), (Ids{3, 4}));
  folder.write("generation_config.json", R"({"eos_token_id": null})");
  EXPECT_EQ(end_tokens(folder.path()), (Ids{3, 4}));
  folder.write("generation_config.json", R"({"eos_token_id": [7, 5]})");
  EXPECT_EQ(end_tokens(folder.path()), (Ids{7, 5}));
  folder.write("generation_config.json", R"({"eos_token_id": 6})");
  EXPECT_EQ(end_tokens(folder.path()), Ids{6});
  // -1 says that there is no such token: the next file is asked.
  folder.write("generation_config.json", R"({"eos_token_id": -1})");
  EXPECT_EQ(end_tokens(folder.path()), (Ids{3, 4}));
  folder.write("generation_config.json", R"({"eos_token_id": [-1, 5]})");
  EXPECT_EQ(end_tokens(folder.path()), Ids{5});
  EXPECT_EQ(end_tokens(kTokenizers + "smollm.gguf"), (Ids{0, 2}));
  EXPECT_EQ(end_tokens(kTokenizers + "spm.gguf"), Ids{2});
  folder.write("generation_config.json", R"({"eos_token_id": "x"})");
  expect_refused("generation_config.json: eos_token_id: found \"x\"",
                 [&] { end_tokens(folder.path()); });
}

}  // namespace
}  // namespace halftone
