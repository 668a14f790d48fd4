// Each format writes what its Jinja template writes: tests/fixtures/chat has jinja2's word for it.
#include "chat_formats.h"

#include "utf8.h"

namespace halftone {
namespace {

// Python's str.strip, which is Jinja's trim: white space and the four separators of ASCII.
std::string_view trim(std::string_view text) {
  const auto separator = [](char c) { return c >= '\x1c' && c <= '\x1f'; };
  while (!text.empty()) {
    const size_t space = separator(text.front()) ? 1 : space_at(text, 0);
    if (space == 0) break;
    text.remove_prefix(space);
  }
  while (!text.empty()) {
    const size_t space = separator(text.back()) ? 1 : space_before(text, text.size());
    if (space == 0) break;
    text.remove_suffix(space);
  }
  return text;
}

std::string_view trim_lines(std::string_view text, bool front, bool back) {
  while (front && text.starts_with('\n')) text.remove_prefix(1);
  while (back && text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

bool has_system(const Conversation& chat) {
  return chat.messages[0].role == "system";
}

// What follows the system message, which must be user and assistant in turn.
std::span<const ChatMessage> turns(const Conversation& chat, bool takes_system) {
  const size_t first = takes_system && has_system(chat) ? 1 : 0;
  for (size_t i = first; i < chat.messages.size(); ++i) {
    const char* expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (chat.messages[i].role != expected)
      throw_error(ErrorKind::recipe,
                  "{} has user and assistant speak in turn{}: message {} is "
                  "from {}, {} expected",
                  chat.where, takes_system ? "" : " and no system message", i + 1,
                  chat.messages[i].role, expected);
  }
  if (first == chat.messages.size())
    throw_error(ErrorKind::recipe,
                "{} writes the system message in front of the user's first: "
                "there is none",
                chat.where);
  return chat.messages.subspan(first);
}

std::string chatml_turn(std::string_view role, std::string_view content) {
  return fmt::format("<|im_start|>{}\n{}<|im_end|>\n", role, content);
}

std::string chatml(const Conversation& chat, std::string_view default_system) {
  std::string out;
  if (!has_system(chat) && !default_system.empty()) out += chatml_turn("system", default_system);
  for (const ChatMessage& m : chat.messages) out += chatml_turn(m.role, m.content);
  if (chat.options.add_generation_prompt) out += "<|im_start|>assistant\n";
  return out;
}

std::string llama3_turn(std::string_view role, std::string_view content) {
  return fmt::format("<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>", role, content);
}

std::string llama3_turns(const Conversation& chat, size_t first) {
  std::string out;
  for (const ChatMessage& m : chat.messages.subspan(first))
    out += llama3_turn(m.role, trim(m.content));
  if (chat.options.add_generation_prompt)
    out += "<|start_header_id|>assistant<|end_header_id|>\n\n";
  return out;
}

std::string mistral(const Conversation& chat, const char* behind_eos) {
  std::string out = chat.bos();
  for (const ChatMessage& m : turns(chat, false))
    out +=
        m.role == "user" ? "[INST] " + m.content + " [/INST]" : m.content + chat.eos() + behind_eos;
  return out;
}

std::string gemma(const Conversation& chat, bool takes_system) {
  std::string out = chat.bos();
  const auto messages = turns(chat, takes_system);
  for (const ChatMessage& m : messages) {
    const bool prefixed = &m == &messages.front() && takes_system && has_system(chat);
    out += fmt::format("<start_of_turn>{}\n{}{}<end_of_turn>\n",
                       m.role == "assistant" ? "model" : m.role,
                       prefixed ? chat.messages[0].content + "\n\n" : "", trim(m.content));
  }
  if (chat.options.add_generation_prompt) out += "<start_of_turn>model\n";
  return out;
}

// An answer's thoughts and what it says aloud.
struct Thought {
  std::string_view reasoning, content;
};

Thought split_thought(std::string_view text) {
  constexpr std::string_view begin = "<think>", end = "</think>";
  const size_t first = text.find(end);
  if (first == std::string_view::npos) return {"", text};
  std::string_view reasoning = trim_lines(text.substr(0, first), false, true);
  if (const size_t at = reasoning.rfind(begin); at != std::string_view::npos)
    reasoning.remove_prefix(at + begin.size());
  return {trim_lines(reasoning, true, true),
          trim_lines(text.substr(text.rfind(end) + end.size()), true, false)};
}

// The last message that the user wrote; what a tool responds has the user's role too.
size_t last_query(std::span<const ChatMessage> messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const std::string& text = messages[i].content;
    if (messages[i].role == "user" &&
        !(text.starts_with("<tool_response>") && text.ends_with("</tool_response>")))
      return i;
  }
  return messages.size() - 1;
}

}  // namespace

std::string chatml_format(const Conversation& chat) {
  return chatml(chat, "");
}

std::string smollm2_format(const Conversation& chat) {
  return chatml(chat, "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
}

std::string qwen2_format(const Conversation& chat) {
  return chatml(chat, "You are a helpful assistant.");
}

std::string qwen25_format(const Conversation& chat) {
  return chatml(chat, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
}

// Answers before the user's last message lose their thoughts.
std::string qwen3_format(const Conversation& chat) {
  const auto& messages = chat.messages;
  const size_t query = last_query(messages);
  std::string out;
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& m = messages[i];
    if (m.role != "assistant") {
      out += chatml_turn(m.role, m.content);
      continue;
    }
    const Thought thought = split_thought(m.content);
    if (i > query && (i + 1 == messages.size() || !thought.reasoning.empty()))
      out += chatml_turn(m.role, fmt::format("<think>\n{}\n</think>\n\n{}", thought.reasoning,
                                             trim_lines(thought.content, true, false)));
    else
      out += chatml_turn(m.role, thought.content);
  }
  if (chat.options.add_generation_prompt) out += "<|im_start|>assistant\n";
  return out;
}

std::string llama2_format(const Conversation& chat) {
  std::string out;
  const auto messages = turns(chat, true);
  for (const ChatMessage& m : messages) {
    std::string content = m.content;
    if (&m == &messages.front() && has_system(chat))
      content = fmt::format("<<SYS>>\n{}\n<</SYS>>\n\n{}", chat.messages[0].content, content);
    out += m.role == "user" ? fmt::format("{}[INST] {} [/INST]", chat.bos(), trim(content))
                            : fmt::format(" {} {}", trim(content), chat.eos());
  }
  return out;
}

std::string llama3_format(const Conversation& chat) {
  return chat.bos() + llama3_turns(chat, 0);
}

std::string llama31_format(const Conversation& chat) {
  const std::string system =
      fmt::format("Cutting Knowledge Date: December 2023\nToday Date: {}\n\n{}", chat.options.date,
                  has_system(chat) ? trim(chat.messages[0].content) : "");
  return chat.bos() + llama3_turn("system", system) + llama3_turns(chat, has_system(chat) ? 1 : 0);
}

std::string mistral1_format(const Conversation& chat) {
  return mistral(chat, " ");
}

std::string mistral2_format(const Conversation& chat) {
  return mistral(chat, "");
}

std::string mistral_system_format(const Conversation& chat) {
  std::string out = chat.bos();
  const auto messages = turns(chat, true);
  for (const ChatMessage& m : messages) {
    const bool prefixed = &m == &messages.front() && has_system(chat);
    out += m.role == "user"
               ? fmt::format(" [INST] {}{} [/INST]",
                             prefixed ? chat.messages[0].content + "\n\n" : "", m.content)
               : " " + m.content + chat.eos();
  }
  return out;
}

std::string gemma2_format(const Conversation& chat) {
  return gemma(chat, false);
}

std::string gemma3_format(const Conversation& chat) {
  return gemma(chat, true);
}

std::string zephyr_format(const Conversation& chat) {
  std::string out;
  for (const ChatMessage& m : chat.messages)
    out += fmt::format("<|{}|>\n{}{}\n", m.role, m.content, chat.eos());
  if (chat.options.add_generation_prompt) out += "<|assistant|>\n";
  return out;
}

}  // namespace halftone
