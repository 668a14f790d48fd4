// The templates that are known, by digest, and where a model's files have theirs.
#include "halftone/text/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "chat_formats.h"
#include "halftone/base/sha256.h"
#include "halftone/io/strict_json.h"
#include "json_field.h"

namespace halftone {

struct KnownTemplate {
  const char* name;
  ChatFormat format;
  std::vector<std::string_view> digests;  // of its versions, with and without a newline at the end
};

namespace {

using Json = nlohmann::json;
using Files = std::map<std::string, std::string>;

const std::vector<KnownTemplate>& known_templates() {
  static const std::vector<KnownTemplate> known = {
      {"smollm2",
       smollm2_format,
       {"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788",
        "a7db451485df173c98c97e1a924dbf304a94d6b5cacdf434f21bc896d4297ca2"}},
      {"chatml",
       chatml_format,
       {"153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3",
        "4d773c6800c326634a217c28d11c096dced7551c3af32ef35f59f0cb20881a72",
        "58c1a1f04baa7adaeaba1f90267c3d57d9396f0c1f0129bdde9e76d3c6784af7",
        "e7a3df47d72feec173403ca6c63b3632edde3536fc0f5a4413ab432a2cfddb8d"}},
      {"qwen2",
       qwen2_format,
       {"793202280c0910ab26bc6eb57c8212c2417324c6d8c4efd0d10d59092ab3e3eb",
        "b925076d44bfedf6b4aa75209433551257d22bb608ce503e1d88fa2df0914c07"}},
      {"qwen2.5",
       qwen25_format,
       {"55b2f4a26ac9ee719330a61a0c39d9e538b0e9322212f048326318cff4f8674a",
        "cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f",
        "4e9918361c284a93880606d182d64da6a9fe97cdc1f5c5a78c1c8840444246fc",
        "d5495a1e5db0611132a97e46a65dbb64a642a499421228b9c8b93229097fa9a4"}},
      {"qwen3",
       qwen3_format,
       {"a55ee1b1660128b7098723e0abcd92caa0788061051c62d51cbe87d9cf1974d8",
        "e132ae041e1217b5e1114eb9dc292484a7f478df945d72fa49ba01b88d8ec01a",
        "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5",
        "c945a4a87850dd79827191150be98539a7a5e7da0689f3550d880f8dcc95b856"}},
      {"qwen3-2507",
       chatml_format,
       {"64f85b198065d0fba2a81f37e10ed68161ce2c19a754c7100e67e0ca2ee9c326",
        "51f190aff3530ef8bdb2aad9fc1cf4afb49a6d1506a458af41e6d247b587bc34"}},
      {"llama2",
       llama2_format,
       {"e8d5b5a546d3f19df16a5320c614fab05bdc4edd50e850f1afd947b503ea41cf",
        "39ce62d9744f3fabe69988762aeb2f971f9efbd2e26bbb58ccaa241ab1baa9c7"}},
      {"llama3",
       llama3_format,
       {"ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122",
        "0a3182e4b5ea175fc6daf849d2c9e7a47ce8e15b8cb8a654b64980ebfdc0b196"}},
      {"llama3.1",
       llama31_format,
       {"93c0e9aa3629bbd77e68dbc0f5621f6e6b23aa8d74b932595cdb8d64684526d7",
        "e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65"}},
      {"llama3.2",
       llama31_format,
       {"d82792f95932f1c9cef5c4bd992f171225e3bf8c7b609b4557c9e1ec96be819f",
        "5816fce10444e03c2e9ee1ef8a4a1ea61ae7e69e438613f3b17b69d0426223a4"}},
      {"mistral-v0.1",
       mistral1_format,
       {"7e995b379ec01747807246483647cd99030abf331653f1119e16d7ac041a3495",
        "a04cf6d779e191fcefb5485853b5bab817dfa28e7c237435e3fda4546614738d"}},
      {"mistral-v0.2",
       mistral2_format,
       {"26a59556925c987317ce5291811ba3b7f32ec4c647c400c6cc7e3a9993007ba7",
        "4f8acce212d9a9cbf95a8e2999bff615458e8797c4bcdcb1777229a4b0de99eb"}},
      {"mistral-system",
       mistral_system_format,
       {"bbc58aad99454df60138be9530c9601a0adfe3d8932cda975e1f10b2410ddc51",
        "796853172235ab3aaa4810013ddfe2eab481bda3306dad4f700c00d436eed596"}},
      {"gemma2",
       gemma2_format,
       {"ecd6ae513fe103f0eb62e8ab5bfa8d0fe45c1074fa398b089c93a7e70c15cfd6",
        "5da48a816016e3d09e16fff7dd21a6059d66fe8de5d99883bc96890993c32091"}},
      {"gemma3",
       gemma3_format,
       {"8d9e3a3c114fb2053ec500184677af4f7e5f8ec2582443cd535834e68b3ade29",
        "7de1c58e208eda46e9c7f86397df37ec49883aeece39fb961e0a6b24088dd3c4",
        "85be955460e4cbe4ef52f0288eec237909dfa5a6641364def318dc4bfeae1952",
        "5437d0ad30bb8db69f45cd62c6e02d4269ee617ec9637c9650f8f04051bd9dbc"}},
      {"zephyr",
       zephyr_format,
       {"66291cf0045c2425a3a667cf3cbb7af2b11f09e025c02f97245323ab79119362",
        "ce1ebfc6d5d6f6223732b3e3c3dc2ad6f343f3fa78e636ba74c1bb3f76e04f38"}},
  };
  return known;
}

std::string known_names() {
  std::string out;
  for (const KnownTemplate& known : known_templates())
    out += (out.empty() ? "" : ", ") + std::string(known.name);
  return out;
}

void require_messages(const std::vector<ChatMessage>& messages, const std::string& where) {
  if (messages.empty())
    throw_error(ErrorKind::recipe, "{}: a conversation has one message at least", where);
  for (size_t i = 0; i < messages.size(); ++i)
    if (const std::string& role = messages[i].role;
        role != "system" && role != "user" && role != "assistant")
      throw_error(ErrorKind::recipe,
                  "{}: message {} is from {}, expected system, user or assistant", where, i + 1,
                  printable(role));
}

Json json_of(const Files& files, const char* name) {
  const auto found = files.find(name);
  return found == files.end() ? Json::object() : parse_strict_json(found->second, name);
}

// The chat_template of a file: a text, or texts by name.
void add_templates(const Files& files, const char* file, std::map<std::string, std::string>& out) {
  const Json json = json_of(files, file);
  const JsonField root{json, file, ""};
  if (!root.has("chat_template")) return;
  const JsonField field = root.at("chat_template");
  if (!field.value.is_array()) {
    out["default"] = field.text();
    return;
  }
  for (const JsonField& named : field.items())
    out[named.at("name").text()] = named.at("template").text();
}

// The text of a token that a file names, as text or as an object with its content.
std::string token_text(const Files& files, const std::string& key) {
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const Json json = json_of(files, file);
    const JsonField root{json, file, ""};
    if (!root.has(key)) continue;
    const JsonField token = root.at(key);
    return (token.value.is_object() ? token.at("content") : token).text();
  }
  return "";
}

}  // namespace

ChatTemplate ChatTemplate::of_digest(std::string_view sha256, const std::string& source) {
  for (const KnownTemplate& known : known_templates())
    if (std::ranges::find(known.digests, sha256) != known.digests.end()) return {known, source};
  throw_error(ErrorKind::recipe, "{}: its chat template (sha256 {}) is none of the known ones: {}",
              source, sha256, known_names());
}

ChatTemplate ChatTemplate::of(const std::string& jinja_text, const std::string& source) {
  return of_digest(sha256_hex(jinja_text), source);
}

std::string ChatTemplate::name() const {
  return known_->name;
}

std::string ChatTemplate::apply(const std::vector<ChatMessage>& messages,
                                const ChatOptions& options) const {
  const std::string where = fmt::format("{}: chat template {}", source_, known_->name);
  require_messages(messages, where);
  return known_->format({messages, options, where});
}

std::map<std::string, std::string> chat_templates(const Files& files) {
  constexpr std::string_view folder = "additional_chat_templates/", jinja = ".jinja";
  std::map<std::string, std::string> out;
  add_templates(files, "chat_template.json", out);
  add_templates(files, "tokenizer_config.json", out);
  for (const auto& [name, text] : files) {
    if (name == "chat_template.jinja") out["default"] = text;
    if (name.starts_with(folder) && name.ends_with(jinja))
      out[name.substr(folder.size(), name.size() - folder.size() - jinja.size())] = text;
  }
  return out;
}

std::optional<std::string> chat_template_text(const Files& files) {
  const auto templates = chat_templates(files);
  const auto found = templates.find("default");
  if (found == templates.end()) return std::nullopt;
  return found->second;
}

ChatOptions chat_options(const Files& files) {
  ChatOptions out;
  out.bos = token_text(files, "bos_token");
  out.eos = token_text(files, "eos_token");
  return out;
}

}  // namespace halftone
