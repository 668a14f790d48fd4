// tokenizer.model files, read and run by the sentencepiece library, which nothing else here calls.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <unordered_set>

#include "added_tokens.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/text_file.h"
#include "loaders.h"
#include "token_text.h"

namespace halftone {
namespace {

using namespace std::string_literals;

constexpr uint64_t kMostBytes = uint64_t{1} << 28;

// Texts are cut at added tokens; sentencepiece gets what lies between, a space put in front of it.
// transformers puts one in front of the first piece only, where tokenizer_config.json has legacy =
// false, and its LlamaTokenizer none in front of a piece that begins with one; it leaves the
// model's own normalizer out, too.
//
// decode() gives U+FFFD for bytes that are not UTF-8, which the library replaces.
class SentencePieceModel : public Tokenizer {
 public:
  SentencePieceModel(const std::string& path, const FolderSettings& settings);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::string decode_text(std::span<const int32_t> ids) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(bytes_of_.size()); }
  bool known(int32_t id) const override {
    return id >= 0 && id < vocab_size() && !bytes_of_[id].empty();
  }
  bool special(int32_t id) const override { return special_.contains(id); }
  std::optional<int32_t> bos() const override { return bos_; }
  std::optional<int32_t> eos() const override { return eos_; }
  std::string hash() const override { return hash_; }

 private:
  void load(sentencepiece::SentencePieceProcessor& processor, const std::string& model) const;
  std::vector<AddedToken> read_pieces();
  void read_tokens(const FolderSettings& settings);
  void encode_piece(std::string_view piece, bool first, std::vector<int32_t>& out) const;

  std::string path_;
  sentencepiece::SentencePieceProcessor processor_, bare_;  // bare_: puts no space in front
  bool only_first_ = false, doubles_space_ = true;
  std::unique_ptr<AddedTokens> added_;
  std::vector<std::string> bytes_of_;  // by id, as decoded; empty: no token
  std::unordered_set<int32_t> special_;
  std::optional<int32_t> bos_, behind_, eos_;
  std::string hash_;
};

void SentencePieceModel::load(sentencepiece::SentencePieceProcessor& processor,
                              const std::string& model) const {
  const auto status = processor.LoadFromSerializedProto(model);
  if (!status.ok())
    throw_error(ErrorKind::format, "{}: not a sentencepiece model: {}", path_,
                printable(status.error_message()));
}

SentencePieceModel::SentencePieceModel(const std::string& path, const FolderSettings& settings)
    : path_(path) {
  std::string model = read_text_file(path, kMostBytes);
  // The library takes an empty file for a model without pieces.
  if (model.empty()) throw_error(ErrorKind::format, "{}: not a sentencepiece model: empty", path);
  hash_ = sha256_hex(model);
  only_first_ = !settings.legacy.value_or(!settings.is_llama);
  doubles_space_ = !settings.is_llama && !only_first_;
  // Messages of a protocol buffer that follow one another are one, whose later fields hold:
  // normalizer_spec (3) with precompiled_charsmap (2) and remove_extra_whitespaces (4), then with
  // add_dummy_prefix (3).
  load(bare_, model);  // by itself: what is cut off must not be filled up by what follows
  if (settings.is_llama) model += "\x1a\x04\x12\x00\x20\x00"s;
  load(processor_, model);
  load(bare_, model + "\x1a\x02\x18\x00"s);
  read_tokens(settings);
  if (settings.add_eos) behind_ = eos_;
  hash_ = sha256_hex(fmt::format("{} {} {} {}{}{}", hash_, bos_.value_or(-1), eos_.value_or(-1),
                                 only_first_, doubles_space_, behind_.has_value()));
}

// Fills bytes_of_ and special_; returns the pieces that are found as they are written.
std::vector<AddedToken> SentencePieceModel::read_pieces() {
  std::vector<AddedToken> added;
  for (int32_t id = 0; id < processor_.GetPieceSize(); ++id) {
    const std::string& piece = processor_.IdToPiece(id);
    const auto byte = processor_.IsByte(id) ? byte_of_token(piece) : std::nullopt;
    const bool special = processor_.IsControl(id) || processor_.IsUnknown(id);
    if (special) added.push_back({.id = id, .text = piece, .special = true});
    bytes_of_.push_back(byte      ? std::string(1, static_cast<char>(*byte))
                        : special ? piece
                                  : marks_to_spaces(piece));
  }
  return added;
}

void SentencePieceModel::read_tokens(const FolderSettings& settings) {
  std::vector<AddedToken> added = read_pieces();
  std::vector<std::string> pieces;
  for (int32_t id = 0; id < processor_.GetPieceSize(); ++id)
    pieces.push_back(processor_.IdToPiece(id));
  TokenTable tokens(pieces, std::move(added), path_);
  for (const NamedToken& named : settings.added) {
    if (named.has_id && named.token.id > vocab_size() + kMostHoles)
      throw_error(ErrorKind::format, "{}: {}: found id {} for '{}', at most {} expected",
                  named.file, named.field, named.token.id, printable(named.token.text),
                  vocab_size() + kMostHoles);
    tokens.add(named);
  }
  bytes_of_.resize(static_cast<size_t>(tokens.size()));
  for (const AddedToken& token : tokens.added()) {
    bytes_of_[token.id] = token.text;
    if (token.special) special_.insert(token.id);
    hash_ += fmt::format(" {} {} {}:{}", token.id, token.special, token.text.size(), token.text);
  }
  added_ = std::make_unique<AddedTokens>(tokens.added());
  // Without a tokenizer_config.json there is the model's own word alone: its token, in front.
  if (settings.add_bos.value_or(!settings.has_config)) {
    if (settings.bos_text)
      bos_ = tokens.id_of(*settings.bos_text);
    else if (processor_.bos_id() >= 0)
      bos_ = processor_.bos_id();
  }
  if (settings.eos_text || settings.eos_id || processor_.eos_id() < 0)
    eos_ = choose_eos(settings, tokens, path_);
  else
    eos_ = processor_.eos_id();
}

void SentencePieceModel::encode_piece(std::string_view piece, bool first,
                                      std::vector<int32_t>& out) const {
  const bool begins_with_space = piece.starts_with(' ') || piece.starts_with(kSpaceMark);
  const bool space = (first || !only_first_) && (doubles_space_ || !begins_with_space);
  std::vector<int> ids;
  const auto status = (space ? processor_ : bare_).Encode({piece.data(), piece.size()}, &ids);
  if (!status.ok())
    throw_error(ErrorKind::format, "{}: cannot encode '{}': {}", path_, printable(piece),
                printable(status.error_message()));
  out.insert(out.end(), ids.begin(), ids.end());
}

std::vector<int32_t> SentencePieceModel::encode(std::string_view text,
                                                const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special_tokens && bos_) out.push_back(*bos_);
  added_->split(
      text, options.parse_special,
      [&](std::string_view piece) { encode_piece(piece, piece.data() == text.data(), out); },
      [&](int32_t id) { out.push_back(id); });
  if (options.add_special_tokens && behind_) out.push_back(*behind_);
  return out;
}

std::string SentencePieceModel::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (int32_t id : ids) {
    require(id >= 0, "decode: token {}", id);
    if (id < vocab_size()) out += bytes_of_[id];
  }
  return out;
}

std::string SentencePieceModel::decode_text(std::span<const int32_t> ids) const {
  std::string out = decode(ids);
  if (out.starts_with(' ')) out.erase(0, 1);
  return out;
}

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece_model(const std::string& path,
                                                    const FolderSettings& settings) {
  return std::make_unique<SentencePieceModel>(path, settings);
}

}  // namespace halftone
