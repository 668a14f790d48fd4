#include "halftone/text/gguf_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "halftone/io/gguf_metadata.h"
#include "halftone/text/tokenizer_files.h"
#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// A folder with one tokenizer, and the GGUF that holds its keys.
class Written {
 public:
  Written(const std::string& name, const std::string& bytes, int64_t rows,
          const std::map<std::string, std::string>& more = {}) {
    folder_.write(name, bytes);
    for (const auto& [file, text] : more) folder_.write(file, text);
    tokens = gguf_tokens(folder_.path(), tokenizer_files(folder_.path()), {.rows = rows});
    write_gguf(path(), tokens.keys, {});
  }
  std::string path() const { return folder_.file("model.gguf"); }
  std::string folder() const { return folder_.path(); }
  GgufMetadata metadata() const { return GgufMetadata::read(path()); }

  GgufTokens tokens;

 private:
  TemporaryDirectory folder_;
};

std::string fixture(const std::string& name) {
  return read_bytes(kTokenizers + name);
}

// Without the added tokens that a GGUF cannot say.
std::string plain(const std::string& name) {
  Json json = read_json(kTokenizers + name);
  Json added = Json::array();
  for (const Json& token : json["added_tokens"])
    if (token["special"] == true && token["lstrip"] == false) added.push_back(token);
  json["added_tokens"] = added;
  return json.dump();
}

void expect_same_ids(const Written& written, size_t every) {
  const auto own = load_tokenizer(written.folder()), made = load_tokenizer(written.path());
  EXPECT_EQ(made->bos(), own->bos());
  EXPECT_EQ(made->eos(), own->eos());
  const Json& texts = expected()["texts"];
  for (size_t i = 0; i < texts.size(); i += every) {
    const std::string text = texts[i];
    EXPECT_EQ(made->encode(text), own->encode(text)) << texts[i];
  }
}

TEST(GgufTokens, OfBytesAsLettersGiveTheSameIdsToEveryText) {
  for (const auto& [name, pre] : {std::pair{"gpt2.json", "gpt-2"},
                                  {"smollm.json", "smollm"},
                                  {"llama-bpe.json", "llama-bpe"},
                                  {"qwen2.json", "qwen2"}}) {
    SCOPED_TRACE(name);
    const Written written("tokenizer.json", plain(name), 820);
    EXPECT_EQ(written.metadata().get_string("tokenizer.ggml.model"), "gpt2");
    EXPECT_EQ(written.metadata().get_string("tokenizer.ggml.pre"), pre);
    EXPECT_TRUE(written.tokens.notes.empty());
    expect_same_ids(written, 1);
  }
}

TEST(GgufTokens, OfSentencepieceGiveTheSameIdsWithScoresOrRanks) {
  const Written model("tokenizer.model", fixture("spm.model"), 400),
      llama("tokenizer.json", fixture("spm-llama.json"), 410),
      gemma("tokenizer.json", plain("spm-gemma.json"), 404);
  for (const Written* written : {&model, &llama, &gemma}) {
    EXPECT_EQ(written->metadata().get_string("tokenizer.ggml.model"), "llama");
    expect_same_ids(*written, 1);
  }
  EXPECT_TRUE(llama.metadata().get_bool("tokenizer.ggml.add_space_prefix"));
  EXPECT_FALSE(gemma.metadata().get_bool("tokenizer.ggml.add_space_prefix"));
  EXPECT_EQ(model.metadata().get_int("tokenizer.ggml.unknown_token_id"), 0);
  EXPECT_EQ(model.metadata().get_ints("tokenizer.ggml.token_type"),
            GgufMetadata::read(kTokenizers + "spm.gguf").get_ints("tokenizer.ggml.token_type"));
}

TEST(GgufTokens, OfAGgufAreThoseThatItHas) {
  for (const char* name : {"smollm.gguf", "llama-bpe.gguf", "spm.gguf"}) {
    const std::string path = kTokenizers + name;
    const GgufMetadata own = GgufMetadata::read(path);
    const int64_t rows = static_cast<int64_t>(own.array_size("tokenizer.ggml.tokens"));
    const TemporaryDirectory folder;
    write_gguf(folder.file("a.gguf"), gguf_tokens(path, tokenizer_files(path), {.rows = rows}).keys,
               {});
    const GgufMetadata made = GgufMetadata::read(folder.file("a.gguf"));
    for (const char* list : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"})
      if (own.has(list)) {
        EXPECT_EQ(made.get_strings(list), own.get_strings(list)) << name;
      }
    EXPECT_EQ(load_tokenizer(folder.file("a.gguf"))->hash(), load_tokenizer(path)->hash()) << name;
  }
}

TEST(GgufTokens, RowsWithoutATokenAreFilledAndTokensWithoutARowLeftOut) {
  const Written more("tokenizer.json", plain("smollm.json"), 803);
  const auto tokens = more.metadata().get_strings("tokenizer.ggml.tokens");
  ASSERT_EQ(tokens.size(), 803u);
  EXPECT_EQ(tokens[802], "[PAD802]");
  EXPECT_EQ(more.metadata().get_ints("tokenizer.ggml.token_type").back(), 5);
  const Written less("tokenizer.json", plain("smollm.json"), 799);
  EXPECT_EQ(less.metadata().array_size("tokenizer.ggml.tokens"), 799u);
  ASSERT_EQ(less.tokens.notes.size(), 1u);
  EXPECT_EQ(less.tokens.notes[0], "a token behind the embedding's rows is left out");
  EXPECT_THROW(Written("tokenizer.json", plain("smollm.json"), 798), Error);
}

TEST(GgufTokens, TemplatesAndSpecialTokensComeFromTheFilesBeside) {
  const Written written(
      "tokenizer.json", plain("smollm.json"), 800,
      {{"tokenizer_config.json",
        R"({"eos_token": "<|im_start|>", "bos_token": {"content": "<|begin_of_text|>"},
            "pad_token": "<|endoftext|>", "chat_template": [
              {"name": "default", "template": "old"}, {"name": "tool", "template": "{{ tools }}"}]})"},
       {"chat_template.jinja", "{{ messages }}"},
       {"generation_config.json", R"({"eos_token_id": [2, 0]})"}});
  const GgufMetadata made = written.metadata();
  EXPECT_EQ(made.get_string("tokenizer.chat_template"), "{{ messages }}");
  EXPECT_EQ(made.get_string("tokenizer.chat_template.tool"), "{{ tools }}");
  EXPECT_EQ(made.get_strings("tokenizer.chat_templates"), std::vector<std::string>{"tool"});
  EXPECT_EQ(made.get_int("tokenizer.ggml.bos_token_id"), 1);
  EXPECT_EQ(made.get_int("tokenizer.ggml.eos_token_id"), 2);
  EXPECT_EQ(made.get_int("tokenizer.ggml.eot_token_id"), 0);
  EXPECT_EQ(made.get_int("tokenizer.ggml.padding_token_id"), 0);
  EXPECT_FALSE(made.get_bool("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(end_tokens(written.path()), (Ids{2, 0}));
}

TEST(GgufTokens, ATokenizerThatLlamaCppDoesNotHaveIsRefused) {
  const auto error = [](const std::string& name, const std::string& bytes) -> std::string {
    try {
      Written(name, bytes, 820);
    } catch (const Error& found) {
      EXPECT_EQ(found.kind(), ErrorKind::recipe);
      return found.what();
    }
    return "accepted";
  };
  const auto expect = [&](const char* phrase, const std::string& name, const std::string& bytes) {
    const std::string found = error(name, bytes);
    EXPECT_NE(found.find(phrase), found.npos) << found;
  };
  const auto changed = [](const std::string& name, const auto& change) {
    Json json = read_json(kTokenizers + name);
    change(json);
    return json.dump();
  };
  expect("is none of gpt-2", "tokenizer.json", fixture("nfkc.json"));
  expect("is none of gpt-2", "tokenizer.json", fixture("prefix-space.json"));
  expect("is not that of the pre-tokenizer qwen2", "tokenizer.json",
         changed("qwen2.json", [](Json& json) { json["normalizer"] = nullptr; }));
  expect("ignore_merges is true with the pre-tokenizer smollm", "tokenizer.json",
         changed("smollm.json", [](Json& json) { json["model"]["ignore_merges"] = true; }));
  expect("changes texts before it cuts them", "tokenizer.model", fixture("spm-phrases.model"));
  expect("of the 256 byte tokens of sentencepiece it uses 0", "tokenizer.json",
         changed("spm-llama.json", [](Json& json) { json["model"]["byte_fallback"] = false; }));
  expect("is merged at several ranks", "tokenizer.json", changed("spm-llama.json", [](Json& json) {
           Json& merges = json["model"]["merges"];
           for (size_t i = 0; i + 1 < merges.size(); ++i) {
             const auto joined = [&](size_t at) {
               return merges[at][0].get<std::string>() + merges[at][1].get<std::string>();
             };
             if (joined(i) != joined(i + 1)) continue;
             merges.push_back(merges[i]);
             merges.erase(i);
             return;
           }
         }));
  expect("is not merged from each pair", "tokenizer.json",
         changed("spm-llama.json", [](Json& json) {
           json["model"]["merges"].erase(json["model"]["merges"].size() - 1);
         }));
}

}  // namespace
}  // namespace halftone
