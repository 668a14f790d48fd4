// Conversations as the text that a chat model was trained on. Its template is a Jinja program that
// travels with the tokenizer. Halftone runs none: it has the formats of known templates, each told
// by the SHA-256 of the template's bytes, and refuses every other.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

struct ChatMessage {
  std::string role, content;  // role: system, user or assistant
};

struct ChatOptions {
  bool add_generation_prompt = true;  // the text ends where the assistant begins to speak
  std::string bos, eos;               // what a template has as bos_token and eos_token
  std::string date = "26 Jul 2024";  // today in Llama 3.1 and 3.2, who have this where none is said
};

struct KnownTemplate;

class ChatTemplate {
 public:
  // The template with this Jinja text, byte for byte. Throws Error(recipe), naming `source`, the
  // digest and the templates that are known, for any other.
  static ChatTemplate of(const std::string& jinja_text, const std::string& source);
  // The same by the SHA-256 of the text, in lower-case hexadecimal digits.
  static ChatTemplate of_digest(std::string_view sha256, const std::string& source);

  std::string name() const;

  // The conversation, special tokens as their texts: encode with parse_special and without
  // add_special_tokens: a template writes the begin token itself where its model wants it. Throws
  // Error(recipe), naming the source:
  // - without messages, or for a role other than the three;
  // - where the template refuses the conversation: Llama 2, Mistral and Gemma have user and
  //   assistant speak in turn, user first; Mistral without a system message and Gemma 2 have none;
  // - for a system message that such a template would pass over: behind the first, or alone;
  // - where the template writes bos or eos and that is empty.
  std::string apply(const std::vector<ChatMessage>& messages, const ChatOptions& options) const;

 private:
  ChatTemplate(const KnownTemplate& known, std::string source)
      : known_(&known), source_(std::move(source)) {}

  const KnownTemplate* known_;
  std::string source_;
};

// By name, "default" the one that is used: the chat_template.jinja of a model's files
// (tokenizer_files.h), else the chat_template of tokenizer_config.json, a text or a list of
// {name, template}, else that of chat_template.json; and those of additional_chat_templates.
// Throws Error(format) for a file that is malformed.
std::map<std::string, std::string> chat_templates(const std::map<std::string, std::string>& files);

// The default one. Nothing where there is none.
std::optional<std::string> chat_template_text(const std::map<std::string, std::string>& files);

// bos and eos as tokenizer_config.json names them, else special_tokens_map.json; empty where
// neither does. Throws Error(format) for a file that is malformed.
ChatOptions chat_options(const std::map<std::string, std::string>& files);

}  // namespace halftone
