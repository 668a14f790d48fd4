// The lists of a tokenizer.model: pieces, scores, types. The file is a protocol buffer
// (sentencepiece_model.proto), read here as far as these go.
#include <cstring>

#include "halftone/base/error.h"
#include "halftone/io/text_file.h"
#include "loaders.h"

namespace halftone {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 28;
constexpr uint64_t kBpe = 2;  // TrainerSpec.ModelType

// A message's fields, one after another.
class Message {
 public:
  Message(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  // The next field; false at the end.
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    field = tag >> 3;
    switch (tag & 7) {
      case 0:
        number = varint();
        break;
      case 1:
        text = take(8);
        break;
      case 2:
        text = take(varint());
        break;
      case 5:
        text = take(4);
        break;
      default:
        fail();
    }
    return true;
  }
  float real() const {
    float value = 0;
    if (text.size() != sizeof value) fail();
    std::memcpy(&value, text.data(), sizeof value);
    return value;
  }

  uint64_t field = 0;
  uint64_t number = 0;    // of a varint
  std::string_view text;  // of others

 private:
  [[noreturn]] void fail() const {
    throw_error(ErrorKind::format, "{}: not a sentencepiece model: damaged at byte {} of a message",
                path_, at_);
  }
  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) fail();
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      out |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return out;
    }
    fail();
  }
  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - at_) fail();
    const std::string_view out = bytes_.substr(at_, size);
    at_ += size;
    return out;
  }

  std::string_view bytes_;
  const std::string& path_;
  size_t at_ = 0;
};

struct Normalizer {
  bool has_rules = false, adds_space = true, removes_spaces = true;
};

void read_piece(Message message, SpmDefinition& out) {
  std::string& piece = out.tokens.emplace_back();
  double& score = out.scores.emplace_back(0);
  SpmType& type = out.types.emplace_back(SpmType::normal);
  while (message.next()) {
    if (message.field == 1) piece = message.text;
    if (message.field == 2) score = static_cast<double>(message.real());
    if (message.field == 3) type = static_cast<SpmType>(message.number);
  }
}

uint64_t read_model_type(Message message, uint64_t fallback) {
  while (message.next())
    if (message.field == 3) fallback = message.number;
  return fallback;
}

void read_normalizer(Message message, Normalizer& out) {
  while (message.next()) {
    if (message.field == 2) out.has_rules = !message.text.empty();
    if (message.field == 3) out.adds_space = message.number != 0;
    if (message.field == 4) out.removes_spaces = message.number != 0;
  }
}

// What lies beside the model names tokens in it and behind it.
void add_tokens(const FolderSettings& settings, SpmDefinition& out) {
  TokenTable table(out.tokens, {}, out.source);
  for (const NamedToken& named : settings.added) table.add(named);
  const size_t size = static_cast<size_t>(table.size());
  out.tokens.resize(size);
  out.scores.resize(size, 0);
  out.types.resize(size, SpmType::unused);
  for (const AddedToken& token : table.added()) {
    out.tokens[token.id] = token.text;
    SpmType& type = out.types[token.id];
    if (type == SpmType::normal || type == SpmType::unused)
      type = token.special ? SpmType::control : SpmType::user_defined;
  }
}

}  // namespace

SpmDefinition read_sentencepiece_model(const std::string& path, const FolderSettings& settings) {
  const std::unique_ptr<Tokenizer> loaded = load_sentencepiece_model(path, settings);
  const std::string bytes = read_text_file(path, kMostBytes);
  SpmDefinition out{.source = path, .bos = loaded->bos(), .eos = loaded->eos()};
  if (settings.add_eos && out.eos) out.behind = {*out.eos};
  uint64_t model_type = 1;
  Normalizer normalizer;
  Message file(bytes, path);
  while (file.next()) {
    const Message part(file.text, path);
    if (file.field == 1) read_piece(part, out);
    if (file.field == 2) model_type = read_model_type(part, model_type);
    if (file.field == 3) read_normalizer(part, normalizer);
  }
  if (model_type != kBpe)
    throw_error(ErrorKind::recipe, "{}: its model is of type {}, BPE ({}) expected", path,
                model_type, kBpe);
  // transformers' LlamaTokenizer leaves the model's own rules out.
  if (!settings.is_llama && (normalizer.has_rules || normalizer.removes_spaces))
    throw_error(ErrorKind::recipe,
                "{}: it changes texts before it cuts them, which a GGUF does not", path);
  out.add_space_prefix = normalizer.adds_space;
  add_tokens(settings, out);
  return out;
}

}  // namespace halftone
