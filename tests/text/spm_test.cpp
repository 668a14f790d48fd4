#include "halftone/text/spm.h"

#include <gtest/gtest.h>

#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;

SpmDefinition tiny() {
  SpmDefinition d;
  d.source = "tiny";
  d.tokens = {"<unk>",
              "<s>",
              "</s>",
              "\xe2\x96\x81",
              "a",
              "b",
              "ab",
              "\xe2\x96\x81"
              "a",
              "bb",
              "abb"};
  d.scores = {0, 0, 0, -10, -11, -12, -1, -3, -2, -4};
  d.types.assign(d.tokens.size(), SpmType::normal);
  d.types[0] = SpmType::unknown;
  d.types[1] = d.types[2] = SpmType::control;
  return d;
}

std::vector<int32_t> ids_of(const SpmDefinition& definition, const std::string& text) {
  return make_spm(definition)->encode(text);
}

TEST(Spm, TheHighestScoreIsJoinedFirstAndTheLeftmostOfEqualOnes) {
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(ids_of(tiny(), "ab"), (Ids{3, 6}));      // "ab" before " a"
  EXPECT_EQ(ids_of(tiny(), "abb"), (Ids{3, 9}));     // ab, then abb
  EXPECT_EQ(ids_of(tiny(), "bbb"), (Ids{3, 8, 5}));  // the left bb
  EXPECT_EQ(ids_of(tiny(), "a a"), (Ids{7, 7}));
  EXPECT_EQ(ids_of(tiny(), "axyz</s>b"), (Ids{7, 0, 2, 3, 5}));  // one unknown for a run
  SpmDefinition bare = tiny();
  bare.add_space_prefix = false;
  EXPECT_EQ(ids_of(bare, "ab"), (Ids{6}));
  EXPECT_TRUE(ids_of(tiny(), "").empty());
}

TEST(Spm, TokensWithASpaceInsideAreFoundAcrossWords) {
  SpmDefinition d = tiny();
  d.tokens.push_back(
      "\xe2\x96\x81"
      "a\xe2\x96\x81"
      "a");
  d.scores.push_back(-20);
  d.types.push_back(SpmType::normal);
  EXPECT_EQ(ids_of(d, "a a b"), (std::vector<int32_t>{10, 3, 5}));
}

TEST(Spm, TheTwoReadersAgreeOnRandomText) {
  const auto library = load_tokenizer(kTokenizers + "spm.model");
  const auto own = load_tokenizer(kTokenizers + "spm.gguf");
  const std::string story = read_bytes(HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt");
  Rng rng(3, RngStream::test);
  for (int trial = 0; trial < 300; ++trial) {
    std::string text = story.substr(rng.below(story.size()), rng.below(200));
    text += random_bytes(rng, 40, true);
    ASSERT_EQ(own->encode(text), library->encode(text)) << text;
  }
  EXPECT_EQ(own->encode(story), library->encode(story));
}

TEST(Spm, EveryStringOfBytesComesBackBehindItsSpace) {
  const auto tokenizer = load_tokenizer(kTokenizers + "spm.gguf");
  Rng rng(4, RngStream::test);
  for (int trial = 0; trial < 1000; ++trial) {
    const std::string bytes = "x" + random_bytes(rng, 80, trial % 2);
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(bytes, {.add_special_tokens = false})),
              " " + bytes);
  }
}

TEST(Spm, AMillionEqualLettersTakeNoTime) {
  for (const char* file : {"spm.gguf", "spm.model"}) {
    const auto tokenizer = load_tokenizer(kTokenizers + file);
    const std::string text(1000000, 'a');
    std::vector<int32_t> ids;
    EXPECT_LT(seconds_of([&] { ids = tokenizer->encode(text, {.add_special_tokens = false}); }), 10)
        << file;
    EXPECT_EQ(tokenizer->decode(ids), " " + text) << file;
  }
}

TEST(Spm, MalformedDefinitionsAreRefused) {
  const auto refused = [](const char* phrase, const std::function<void(SpmDefinition&)>& spoil) {
    SCOPED_TRACE(phrase);
    SpmDefinition d = tiny();
    spoil(d);
    expect_refused(phrase, [&] { make_spm(d); });
  };
  refused("10 tokens, 9 scores", [](SpmDefinition& d) { d.scores.pop_back(); });
  refused("9 token types", [](SpmDefinition& d) { d.types.pop_back(); });
  refused("0 tokens", [](SpmDefinition& d) { d.tokens.clear(); });
  refused("score nan", [](SpmDefinition& d) { d.scores[4] = NAN; });
  refused("the text of token 4", [](SpmDefinition& d) { d.tokens[5] = "a"; });
  refused("an empty text", [](SpmDefinition& d) { d.tokens[5] = ""; });
  refused("type byte", [](SpmDefinition& d) { d.types[5] = SpmType::byte; });
  refused("type byte",
          [](SpmDefinition& d) { d.types[5] = SpmType::byte, d.tokens[5] = "<0x1g>"; });
  refused("the byte a second time", [](SpmDefinition& d) {
    d.types[4] = d.types[5] = SpmType::byte;
    d.tokens[4] = d.tokens[5] = "<0x41>";
  });
  refused("neither an unknown token", [](SpmDefinition& d) { d.types[0] = SpmType::normal; });
  refused("type 9", [](SpmDefinition& d) { d.types[5] = static_cast<SpmType>(9); });
}

GgufBuilder llama_metadata() {
  GgufBuilder b;
  b.add_string("tokenizer.ggml.model", "llama");
  std::string tokens;
  for (const std::string& token : tiny().tokens) tokens += GgufBuilder::text(token);
  b.add(GgufBuilder::array("tokenizer.ggml.tokens", 8, 10, tokens));
  b.add(GgufBuilder::array("tokenizer.ggml.scores", 6, 10, raw(std::vector<float>(10, -1.f))));
  b.add(GgufBuilder::array("tokenizer.ggml.token_type", 5, 10,
                           raw(std::vector<int32_t>{2, 3, 3, 1, 1, 1, 1, 1, 1, 1})));
  return b.add_u32("tokenizer.ggml.bos_token_id", 1).add_u32("tokenizer.ggml.eos_token_id", 2);
}

GgufBuilder gpt2_metadata() {
  GgufBuilder b;
  b.add_string("tokenizer.ggml.model", "gpt2").add_string("tokenizer.ggml.pre", "gpt-2");
  const std::string tokens =
      GgufBuilder::text("a") + GgufBuilder::text("b") + GgufBuilder::text("ab");
  b.add(GgufBuilder::array("tokenizer.ggml.tokens", 8, 3, tokens));
  b.add(GgufBuilder::array("tokenizer.ggml.merges", 8, 1, GgufBuilder::text("a b")));
  return b.add_u32("tokenizer.ggml.eos_token_id", 2);
}

TEST(GgufTokenizer, WellFormedMetadataIsRead) {
  EXPECT_EQ(load_bytes("a.gguf", llama_metadata().bytes())->encode("b"),
            (std::vector<int32_t>{1, 3, 5}));
  const auto bpe = load_bytes("a.gguf", gpt2_metadata().bytes());
  EXPECT_EQ(bpe->encode("ab"), std::vector<int32_t>{2});
  EXPECT_EQ(bpe->eos(), 2);
  GgufBuilder bare = llama_metadata();
  bare.add(GgufBuilder::key("tokenizer.ggml.add_space_prefix", 7, std::string(1, '\0')));
  bare.add(GgufBuilder::key("tokenizer.ggml.add_bos_token", 7, std::string(1, '\0')));
  EXPECT_EQ(load_bytes("a.gguf", bare.bytes())->encode("b"), std::vector<int32_t>{5});
}

TEST(GgufTokenizer, MalformedMetadataIsRefusedByKey) {
  const auto refused = [](const char* phrase, GgufBuilder b, size_t entry,
                          const std::string& with) {
    SCOPED_TRACE(phrase);
    b.entries[entry] = with;
    expect_refused(phrase, [&] { load_bytes("a.gguf", b.bytes()); });
  };
  using B = GgufBuilder;
  const std::string none = B::key("unused", 4, raw(uint32_t{0}));
  for (size_t i = 0; i < 4; ++i) refused("tokenizer.ggml.", llama_metadata(), i, none);
  for (size_t i = 0; i < 4; ++i) refused("tokenizer.ggml.", gpt2_metadata(), i, none);
  refused("found 'bert'", gpt2_metadata(), 0, B::key("tokenizer.ggml.model", 8, B::text("bert")));
  refused("pre-tokenizer 'dbrx'", gpt2_metadata(), 1,
          B::key("tokenizer.ggml.pre", 8, B::text("dbrx")));
  refused("0 tokens", gpt2_metadata(), 2, B::array("tokenizer.ggml.tokens", 8, 0, ""));
  refused("merges[0]: found 'ab'", gpt2_metadata(), 3,
          B::array("tokenizer.ggml.merges", 8, 1, B::text("ab")));
  refused("merges[0]: found ''", gpt2_metadata(), 3,
          B::array("tokenizer.ggml.merges", 8, 1, B::text("")));
  refused("'c' is no token", gpt2_metadata(), 3,
          B::array("tokenizer.ggml.merges", 8, 1, B::text("a c")));
  refused("found 3, expected a token id below 3", gpt2_metadata(), 4,
          B::key("tokenizer.ggml.eos_token_id", 4, raw(uint32_t{3})));
  refused("9 scores", llama_metadata(), 2,
          B::array("tokenizer.ggml.scores", 6, 9, raw(std::vector<float>(9, -1.f))));
  refused("token_type has 1 entries", llama_metadata(), 3,
          B::array("tokenizer.ggml.token_type", 5, 1, raw(int32_t{1})));
  refused("token_type[0]: found 7", llama_metadata(), 3,
          B::array("tokenizer.ggml.token_type", 5, 1, raw(int32_t{7})));
  refused("bos_token_id is missing", llama_metadata(), 4, none);
  refused("token_type", llama_metadata(), 3,
          B::array("tokenizer.ggml.token_type", 8, 1, B::text("x")));
}

TEST(GgufTokenizer, AChangedFileIsReadOrRefused) {
  for (const char* file : {"spm.gguf", "smollm.gguf"})
    EXPECT_GT(
        read_mutations(read_bytes(kTokenizers + file), 300, 2,
                       [](const std::string& path) {
                         std::filesystem::rename(path, path + ".gguf");
                         load_tokenizer(path + ".gguf")->encode("Once upon a time, 12 caf\xc3\xa9");
                       }),
        10)
        << file;
}

TEST(SentencePieceModel, DamagedFilesAreReadOrRefused) {
  const std::string whole = read_bytes(kTokenizers + "spm.model");
  const TemporaryDirectory directory;
  const std::string junk = directory.write("junk.model", "no model at all");
  expect_refused("not a sentencepiece model", [&] { load_tokenizer(junk); });
  expect_refused("empty", [&] { load_bytes("a.model", ""); });
  for (size_t length = 1; length < whole.size(); length += 13)
    format_error(
        [&] { load_bytes("a.model", whole.substr(0, length))->encode("Once upon a time, 12"); });
  EXPECT_GT(
      read_mutations(whole, 1000, 5,
                     [](const std::string& path) {
                       std::filesystem::rename(path, path + ".model");
                       load_tokenizer(path + ".model")->encode("Once upon a time, 12 caf\xc3\xa9");
                     }),
      10);
}

TEST(SentencePieceModel, TokensThatAFolderAddsFollowThePieces) {
  const TemporaryDirectory folder;
  folder.write("tokenizer.model", read_bytes(kTokenizers + "spm.model"));
  const auto settings = [&](const std::string& content) {
    folder.write("tokenizer_config.json", content);
  };
  settings(
      R"({"added_tokens_decoder": {"400": {"content": "<pad>", "special": true}}, "eos_token": "<pad>",
               "add_bos_token": false})");
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->vocab_size(), 401);
  EXPECT_EQ(tokenizer->eos(), 400);
  EXPECT_EQ(tokenizer->encode("<pad>"), std::vector<int32_t>{400});
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{400}), "<pad>");
  settings(R"({"added_tokens_decoder": {"402": {"content": "<pad>"}}})");
  EXPECT_EQ(load_tokenizer(folder.path())->vocab_size(), 403);
  EXPECT_FALSE(load_tokenizer(folder.path())->known(401));
  settings(R"({"added_tokens_decoder": {"4000000": {"content": "<pad>"}}})");
  expect_refused("found id 4000000 for '<pad>', at most", [&] { load_tokenizer(folder.path()); });
  settings(R"({"added_tokens_decoder": {"1": {"content": "<pad>"}}})");
  expect_refused("added_tokens_decoder['1']: found '<pad>' for id 1, which is '<s>' in ",
                 [&] { load_tokenizer(folder.path()); });
}

}  // namespace
}  // namespace halftone
