// The formats of known chat templates.
#pragma once

#include <span>
#include <string>

#include "halftone/base/error.h"
#include "halftone/text/chat_template.h"

namespace halftone {

struct Conversation {
  std::span<const ChatMessage> messages;  // one at least, of the three roles
  const ChatOptions& options;
  const std::string& where;  // for complaints

  // Throws where the text is not known.
  const std::string& bos() const { return token(options.bos, "bos"); }
  const std::string& eos() const { return token(options.eos, "eos"); }

 private:
  const std::string& token(const std::string& text, const char* name) const {
    if (text.empty())
      throw_error(ErrorKind::recipe, "{} writes the {} token, and the tokenizer's files name none",
                  where, name);
    return text;
  }
};

using ChatFormat = std::string (*)(const Conversation&);

std::string chatml_format(const Conversation& chat);
std::string smollm2_format(const Conversation& chat);
std::string qwen2_format(const Conversation& chat);
std::string qwen25_format(const Conversation& chat);
std::string qwen3_format(const Conversation& chat);
std::string llama2_format(const Conversation& chat);
std::string llama3_format(const Conversation& chat);
std::string llama31_format(const Conversation& chat);
std::string mistral1_format(const Conversation& chat);
std::string mistral2_format(const Conversation& chat);
std::string mistral_system_format(const Conversation& chat);
std::string gemma2_format(const Conversation& chat);
std::string gemma3_format(const Conversation& chat);
std::string zephyr_format(const Conversation& chat);

}  // namespace halftone
