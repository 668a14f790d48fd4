// tokenizer.model files, read and run by the sentencepiece library, which nothing else here calls.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <unordered_set>

#include "added_tokens.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/text_file.h"
#include "loaders.h"
#include "spaces.h"

namespace halftone {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 28;

// decode() gives U+FFFD for bytes that are not UTF-8, which the library replaces.
class SentencePieceModel : public Tokenizer {
 public:
  SentencePieceModel(const std::string& path, const FolderSettings& settings);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(bytes_of_.size()); }
  bool special(int32_t id) const override { return special_.contains(id); }
  std::optional<int32_t> bos() const override { return bos_; }
  std::optional<int32_t> eos() const override { return eos_; }
  std::string hash() const override { return hash_; }

 private:
  void read_pieces(std::map<int32_t, AddedToken>& added);
  void read_added(const FolderSettings& settings, std::map<int32_t, AddedToken>& added);

  std::string path_;
  sentencepiece::SentencePieceProcessor processor_;
  std::unique_ptr<AddedTokens> added_;
  std::vector<std::string> bytes_of_;  // by id, as decoded
  std::unordered_set<int32_t> special_;
  std::optional<int32_t> bos_, eos_;
  std::string hash_;
};

SentencePieceModel::SentencePieceModel(const std::string& path, const FolderSettings& settings)
    : path_(path) {
  const std::string proto = read_text_file(path, kMostBytes);
  // The library takes an empty file for a model without pieces.
  const auto status = proto.empty() ? sentencepiece::util::Status(
                                          sentencepiece::util::StatusCode::kDataLoss, "empty file")
                                    : processor_.LoadFromSerializedProto(proto);
  if (!status.ok())
    throw_error(ErrorKind::format, "{}: not a sentencepiece model: {}", path,
                printable(status.error_message()));
  std::map<int32_t, AddedToken> added;  // by id
  read_pieces(added);
  read_added(settings, added);
  std::vector<AddedToken> tokens;
  std::string digested = sha256_hex(proto);
  for (auto& [id, token] : added) {
    digested += fmt::format(" {} {} {}:{}", id, token.special, token.text.size(), token.text);
    tokens.push_back(std::move(token));
  }
  added_ = std::make_unique<AddedTokens>(std::move(tokens));
  if (settings.add_bos.value_or(true) && processor_.bos_id() >= 0) bos_ = processor_.bos_id();
  if (settings.eos_text || settings.eos_id)
    eos_ = choose_eos(settings, bytes_of_, path);
  else if (processor_.eos_id() >= 0)
    eos_ = processor_.eos_id();
  hash_ = sha256_hex(fmt::format("{} {} {}", digested, bos_.value_or(-1), eos_.value_or(-1)));
}

void SentencePieceModel::read_pieces(std::map<int32_t, AddedToken>& added) {
  for (int32_t id = 0; id < processor_.GetPieceSize(); ++id) {
    const std::string& piece = processor_.IdToPiece(id);
    unsigned byte = 0;
    if (processor_.IsByte(id) && std::sscanf(piece.c_str(), "<0x%2X>", &byte) == 1) {
      bytes_of_.push_back(std::string(1, static_cast<char>(byte)));
      continue;
    }
    const bool control = processor_.IsControl(id);
    if (control || processor_.IsUnknown(id)) special_.insert(id);
    if (control) added[id] = {.id = id, .text = piece, .special = true};
    bytes_of_.push_back(control ? piece : marks_to_spaces(piece));
  }
}

// Ids behind the model's pieces follow them without gaps.
void SentencePieceModel::read_added(const FolderSettings& settings,
                                    std::map<int32_t, AddedToken>& added) {
  for (const AddedToken& token : settings.added) {
    if (token.id > vocab_size())
      throw_error(ErrorKind::format,
                  "{}: found an added token '{}' with id {}, at most {} expected", path_,
                  printable(token.text), token.id, vocab_size());
    if (token.id == vocab_size())
      bytes_of_.push_back(token.text);
    else if (processor_.IdToPiece(token.id) != token.text)
      throw_error(ErrorKind::format, "{}: found an added token '{}' with id {}, which is '{}'",
                  path_, printable(token.text), token.id,
                  printable(processor_.IdToPiece(token.id)));
    if (token.special) special_.insert(token.id);
    added[token.id] = token;
  }
}

std::vector<int32_t> SentencePieceModel::encode(std::string_view text,
                                                const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special_tokens && bos_) out.push_back(*bos_);
  const auto encode_ordinary = [&](std::string_view piece) {
    std::vector<int> ids;
    const auto status = processor_.Encode(absl::string_view(piece.data(), piece.size()), &ids);
    if (!status.ok())
      throw_error(ErrorKind::format, "{}: cannot encode '{}': {}", path_, printable(piece),
                  printable(status.error_message()));
    out.insert(out.end(), ids.begin(), ids.end());
  };
  added_->split(text, options.parse_special, encode_ordinary,
                [&](int32_t id) { out.push_back(id); });
  return out;
}

std::string SentencePieceModel::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (int32_t id : ids) {
    require(id >= 0 && id < vocab_size(), "decode: token {}, vocabulary {}", id, vocab_size());
    out += bytes_of_[id];
  }
  return out;
}

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece_model(const std::string& path,
                                                    const FolderSettings& settings) {
  return std::make_unique<SentencePieceModel>(path, settings);
}

}  // namespace halftone
