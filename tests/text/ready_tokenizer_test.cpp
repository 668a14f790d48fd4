#include "halftone/text/ready_tokenizer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

std::unique_ptr<Tokenizer> load_copy(const std::string& bytes) {
  const auto owner = std::make_shared<const std::string>(bytes);
  return load_ready_tokenizer(owner, *owner, "x.packed");
}

std::vector<std::string> many_texts() {
  std::vector<std::string> out = {
      "", "<|endoftext|>", " <s> </s><|im_start|>user\n<|im_end|>",
      read_bytes(HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt").substr(0, 100000)};
  for (const Json& text : expected()["texts"]) out.push_back(text);
  Rng rng(5, RngStream::test);
  for (int i = 0; i < 300; ++i) out.push_back(random_bytes(rng, 60, i % 2 == 0));
  return out;
}

// All that a tokenizer says.
void expect_same(const Tokenizer& ready, const Tokenizer& own) {
  ASSERT_EQ(ready.vocab_size(), own.vocab_size());
  EXPECT_EQ(ready.bos(), own.bos());
  EXPECT_EQ(ready.eos(), own.eos());
  EXPECT_EQ(ready.hash(), own.hash());
  for (int32_t id = -1; id <= own.vocab_size(); ++id) {
    EXPECT_EQ(ready.known(id), own.known(id)) << id;
    EXPECT_EQ(ready.special(id), own.special(id)) << id;
    if (id >= 0) {
      EXPECT_EQ(ready.decode({&id, 1}), own.decode({&id, 1})) << id;
    }
  }
  for (const std::string& text : many_texts())
    for (const bool special : {true, false}) {
      const EncodeOptions options{.parse_special = special, .add_special_tokens = special};
      const Ids ids = own.encode(text, options);
      ASSERT_EQ(ready.encode(text, options), ids) << printable(text);
      EXPECT_EQ(ready.decode_text(ids), own.decode_text(ids)) << printable(text);
    }
}

TEST(ReadyTokenizer, SaysWhatTheTokenizerSaysThatItIsOf) {
  for (const char* file :
       {"gpt2.json", "smollm.json", "smollm.gguf", "llama-bpe.json", "llama-bpe.gguf", "qwen2.json",
        "prefix-space.json", "nfkc.json", "spm-llama.json", "spm-metaspace.json", "spm-split.json",
        "spm-gemma.json", "spm-phrases.json", "merges.json", "partial.json"}) {
    SCOPED_TRACE(file);
    const std::string bytes = ready_tokenizer(kTokenizers + file);
    expect_same(*load_copy(bytes), *load_tokenizer(kTokenizers + file));
  }
}

TEST(ReadyTokenizer, HasWhatLiesBesideATokenizer) {
  for (const Json& folder : expected()["folders"]) {
    SCOPED_TRACE(folder["name"]);
    const TemporaryDirectory directory;
    for (const auto& [name, fixture] : folder["copies"].items())
      directory.write(name, read_bytes(kTokenizers + fixture.get<std::string>()));
    for (const auto& [name, content] : folder["files"].items())
      directory.write(name, content.is_string() ? content.get<std::string>() : content.dump());
    const std::string bytes = ready_tokenizer(directory.path());
    if (bytes.empty()) continue;  // a tokenizer.model
    const auto ready = load_copy(bytes), own = load_tokenizer(directory.path());
    EXPECT_EQ(ready->eos(), own->eos());
    EXPECT_EQ(ready->hash(), own->hash());
    const Json& texts = expected()["texts"];
    for (size_t i = 0; i < texts.size(); ++i)
      EXPECT_EQ(ready->encode(texts[i].get<std::string>()),
                own->encode(texts[i].get<std::string>()));
  }
}

TEST(ReadyTokenizer, OtherKindsHaveNone) {
  for (const char* file : {"spm.model", "spm-phrases.model", "spm.gguf", "make.py"})
    EXPECT_EQ(ready_tokenizer(kTokenizers + file), "") << file;
}

TEST(ReadyTokenizer, EveryLengthButTheWholeIsRefused) {
  const std::string whole = ready_tokenizer(kTokenizers + "partial.json");
  for (size_t n = 0; n < whole.size(); n += n < 600 ? 1 : 97)
    expect_refused("its tokenizer: ", [&] { load_copy(whole.substr(0, n)); });
  expect_refused("the tables of its tokenizer: bytes: found", [&] { load_copy(whole + "x"); });
}

// A byte is another one: what is made of it is refused, or gives ids of the vocabulary.
TEST(ReadyTokenizer, DamageNeverLeadsOutside) {
  const std::string whole = ready_tokenizer(kTokenizers + "smollm.json");
  int refused = 0;
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (at % 3 == 0 ? 0xff : at % 3 == 1 ? 0x80 : 1));
    try {
      const auto tokenizer = load_copy(damaged);
      for (const char* text : {"Once upon a time, 12 caf\xc3\xa9 \xff<|endoftext|>", " the and of"})
        for (const int32_t id : tokenizer->encode(text)) {
          ASSERT_GE(id, 0);
          ASSERT_LT(id, tokenizer->vocab_size());
          tokenizer->decode({&id, 1});
        }
      tokenizer->hash();
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::format) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(ReadyTokenizer, SettingsThatDoNotFitAreNamed) {
  const std::string whole = ready_tokenizer(kTokenizers + "smollm.json");
  uint64_t length = 0;
  std::memcpy(&length, whole.data(), sizeof length);
  const auto refuse = [&](const std::string& phrase, const std::string& key, const Json& value) {
    Json settings = Json::parse(whole.substr(8, length));
    ASSERT_TRUE(settings.contains(key)) << key;
    settings[key] = value;
    const std::string text = settings.dump();
    std::string changed = raw(uint64_t{text.size()}) + text;
    changed.resize((changed.size() + 3) / 4 * 4);
    changed += whole.substr((8 + length + 3) / 4 * 4);
    expect_refused("x.packed: its tokenizer: " + key, [&] { load_copy(changed); });
    expect_refused(phrase, [&] { load_copy(changed); });
  };
  refuse("a token id in 0 ..", "bos", 1 << 24);
  refuse("a token id in 0 ..", "behind", {-1});
  refuse("a token id in 0 ..", "unused", {1 << 24});
  refuse("a list of 7", "added", {{1, "x"}});
  refuse("a token id in 0 ..", "added", {{1 << 24, "x", true, true, true, true, true}});
  refuse("in 0 .. 6", "normalizer", {{7, "", false, ""}});
  refuse("at least one character", "normalizer", {{6, "", true, "x"}});
  refuse("in 0 .. 4", "steps", {{"x", 5, false, "", 0}});
  refuse("in 0 .. 2", "steps", {{"x", 0, false, "", 3}});
  refuse("true or false", "byte_level", 1);
  refuse("a string", "unknown", 1);
}

}  // namespace
}  // namespace halftone
