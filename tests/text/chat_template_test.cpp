#include "halftone/text/chat_template.h"

#include <gtest/gtest.h>

#include "halftone/base/sha256.h"
#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;
using Files = std::map<std::string, std::string>;
using Messages = std::vector<ChatMessage>;

const std::string kChat = HALFTONE_SOURCE_DIR "/tests/fixtures/chat/";
const std::string kNames[] = {"smollm2",        "chatml",     "qwen2",        "qwen2.5",
                              "qwen3",          "qwen3-2507", "llama2",       "llama3",
                              "llama3.1",       "llama3.2",   "mistral-v0.1", "mistral-v0.2",
                              "mistral-system", "gemma2",     "gemma3",       "zephyr"};

// One line with the phrase.
void expect_recipe_error(const std::string& phrase, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "accepted; expected an error with: " << phrase;
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::recipe) << text;
    EXPECT_NE(text.find(phrase), text.npos) << text;
    EXPECT_EQ(text.find('\n'), text.npos) << text;
  }
}

std::vector<Messages> conversations() {
  std::vector<Messages> out;
  for (const Json& conversation : read_json(kChat + "conversations.json")) {
    out.emplace_back();
    for (const Json& m : conversation) out.back().push_back({m["role"], m["content"]});
  }
  return out;
}

Json fixture(const std::string& name) {
  return read_json(kChat + name + ".json");
}

ChatTemplate known(const std::string& name) {
  return ChatTemplate::of_digest(fixture(name)["sha256"][0].get<std::string>(), "here");
}

ChatOptions options(const Json& fixture, bool prompt) {
  return {prompt, fixture["bos"], fixture["eos"], fixture["date"]};
}

TEST(ChatTemplate, WritesWhatJinjaWrites) {
  const auto all = conversations();
  for (const std::string& name : kNames) {
    const Json expected = fixture(name);
    const ChatTemplate chat = known(name);
    ASSERT_EQ(expected["texts"].size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(fmt::format("{}: conversation {}", name, i));
      const Json& text = expected["texts"][i];
      const auto plain = [&] { return chat.apply(all[i], options(expected, false)); };
      if (text.is_null()) {
        expect_recipe_error("here: chat template " + name, plain);
        continue;
      }
      EXPECT_EQ(plain(), text);
      EXPECT_EQ(chat.apply(all[i], options(expected, true)),
                text.get<std::string>() + expected["prompt"].get<std::string>());
    }
  }
}

TEST(ChatTemplate, EveryVersionIsKnownByItsDigest) {
  for (const std::string& name : kNames) {
    const Json digests = fixture(name)["sha256"];
    EXPECT_GE(digests.size(), 2u);
    for (const Json& digest : digests)
      EXPECT_EQ(ChatTemplate::of_digest(digest.get<std::string>(), "here").name(), name);
  }
}

TEST(ChatTemplate, AnyOtherIsRefusedByDigest) {
  const std::string text = "{{ messages }}";
  std::string phrase =
      "model: its chat template (sha256 " + sha256_hex(text) + ") is none of the known ones: ";
  for (const std::string& name : kNames) phrase += (name == kNames[0] ? "" : ", ") + name;
  expect_recipe_error(phrase, [&] { ChatTemplate::of(text, "model"); });
}

TEST(ChatTemplate, WhatNoTemplateHasIsRefused) {
  const ChatTemplate chat = known("chatml");
  expect_recipe_error("here: chat template chatml: a conversation has one message at least",
                      [&] { chat.apply({}, {}); });
  expect_recipe_error("message 2 is from tool, expected system, user or assistant", [&] {
    chat.apply({{"user", "a"}, {"tool", "b"}}, {});
  });
}

TEST(ChatTemplate, ComplaintsSayWhoShouldSpeak) {
  const ChatOptions tokens{.bos = "<s>", .eos = "</s>"};
  expect_recipe_error(
      "has user and assistant speak in turn: message 3 is from user, assistant expected", [&] {
        known("llama2").apply({{"system", ""}, {"user", "a"}, {"user", "b"}}, tokens);
      });
  expect_recipe_error("in turn and no system message: message 1 is from system, user expected",
                      [&] {
                        known("gemma2").apply({{"system", "a"}, {"user", "b"}}, tokens);
                      });
  expect_recipe_error("writes the system message in front of the user's first: there is none", [&] {
    known("gemma3").apply({{"system", "a"}}, tokens);
  });
}

TEST(ChatTemplate, ATokenThatIsWrittenMustBeKnown) {
  const Messages hello = {{"user", "Hello"}};
  expect_recipe_error("chat template gemma2 writes the bos token",
                      [&] { known("gemma2").apply(hello, {}); });
  expect_recipe_error("chat template zephyr writes the eos token",
                      [&] { known("zephyr").apply(hello, {.bos = "<s>"}); });
  EXPECT_EQ(known("qwen3").apply(hello, {.add_generation_prompt = false}),
            "<|im_start|>user\nHello<|im_end|>\n");
}

TEST(ChatTemplate, LlamasDateIsTheTemplatesOwnWhereNoneIsSaid) {
  for (const char* name : {"llama3.1", "llama3.2"}) {
    const std::string text = known(name).apply({{"user", "Hello"}}, {.bos = "<s>"});
    EXPECT_NE(text.find("\nToday Date: 26 Jul 2024\n\n<|eot_id|>"), std::string::npos) << text;
  }
}

TEST(ChatTemplates, OfAModelsFilesTheJinjaFileComesFirst) {
  Files files;
  EXPECT_EQ(chat_template_text(files), std::nullopt);
  files["tokenizer_config.json"] = R"({"chat_template": null})";
  EXPECT_EQ(chat_template_text(files), std::nullopt);
  files["chat_template.json"] = R"({"chat_template": "of the processor"})";
  EXPECT_EQ(chat_template_text(files), "of the processor");
  files["tokenizer_config.json"] = R"({"chat_template": "a text\n"})";
  EXPECT_EQ(chat_template_text(files), "a text\n");
  files["tokenizer_config.json"] = R"({"chat_template": [{"name": "tool", "template": "t"},
                                                         {"name": "default", "template": "d"}]})";
  EXPECT_EQ(chat_template_text(files), "d");
  files["chat_template.jinja"] = "of the file\n";
  EXPECT_EQ(chat_template_text(files), "of the file\n");
  files["additional_chat_templates/rag.jinja"] = "r";
  EXPECT_EQ(chat_templates(files),
            (Files{{"default", "of the file\n"}, {"tool", "t"}, {"rag", "r"}}));
}

TEST(ChatTemplates, MalformedFilesAreRefused) {
  expect_refused("tokenizer_config.json: chat_template: found 7, expected a string", [] {
    chat_templates({{"tokenizer_config.json", R"({"chat_template": 7})"}});
  });
  expect_refused("tokenizer_config.json: chat_template[0].template is missing", [] {
    chat_templates({{"tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})"}});
  });
}

TEST(ChatOptions, HaveTheTokensThatTheFilesName) {
  Files files = {{"special_tokens_map.json", R"({"bos_token": "<b>", "eos_token": "<e>"})"},
                 {"tokenizer_config.json", R"({"eos_token": {"content": "</s>"}})"}};
  EXPECT_EQ(chat_options(files).bos, "<b>");
  EXPECT_EQ(chat_options(files).eos, "</s>");
  EXPECT_EQ(chat_options({}).bos, "");
}

}  // namespace
}  // namespace halftone
