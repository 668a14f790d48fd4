// The settings of a BPE definition as JSON, and its tables behind them.
#include "halftone/text/ready_tokenizer.h"

#include <cstring>
#include <limits>

#include "halftone/base/error.h"
#include "halftone/io/strict_json.h"
#include "json_field.h"
#include "loaders.h"
#include "ready_bpe.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

// Where numbers of 32 bits may begin.
constexpr size_t aligned(size_t offset) {
  return (offset + 3) / 4 * 4;
}

Json json_of(const AddedToken& token) {
  return {token.id,     token.text,        token.special,   token.lstrip,
          token.rstrip, token.single_word, token.normalized};
}

Json json_of(const NormalizeStep& step) {
  return {static_cast<int>(step.kind), step.pattern, step.literal, step.content};
}

Json json_of(const SplitStep& step) {
  return {step.pattern, static_cast<int>(step.behavior), step.invert, step.mark,
          static_cast<int>(step.scheme)};
}

template <class Item>
Json list_of(const std::vector<Item>& items) {
  Json out = Json::array();
  for (const Item& item : items) out.push_back(json_of(item));
  return out;
}

Json id_or_null(const std::optional<int32_t>& id) {
  return id ? Json(*id) : Json(nullptr);
}

std::string settings_text(const BpeDefinition& d) {
  const Json json = {{"added", list_of(d.added)},
                     {"unused", d.unused},
                     {"normalizer", list_of(d.normalizer)},
                     {"steps", list_of(d.steps)},
                     {"byte_level", d.byte_level},
                     {"byte_fallback", d.byte_fallback},
                     {"unknown", d.unknown},
                     {"fuse_unknown", d.fuse_unknown},
                     {"ignore_merges", d.ignore_merges},
                     {"decoding_replace", list_of(d.decoding.replace)},
                     {"decoding_bytes", d.decoding.bytes},
                     {"decoding_strip", d.decoding.strip},
                     {"decoding_strip_most", d.decoding.strip_most},
                     {"bos", id_or_null(d.bos)},
                     {"behind", d.behind},
                     {"eos", id_or_null(d.eos)}};
  return json.dump();
}

// The items of a list of so many.
std::vector<JsonField> tuple(const JsonField& field, size_t count) {
  std::vector<JsonField> out = field.items();
  if (out.size() != count) field.wrong(fmt::format("a list of {}", count));
  return out;
}

// Reads what settings_text() writes; ids are below `ids`.
class SettingsReader {
 public:
  SettingsReader(const Json& json, const std::string& source, int64_t ids)
      : root_{json, source + ": its tokenizer", ""}, most_(ids - 1) {}

  BpeDefinition read(const std::string& source) const;

 private:
  int32_t id(const JsonField& field) const { return static_cast<int32_t>(field.id(most_)); }
  std::vector<int32_t> ids(const char* key) const {
    std::vector<int32_t> out;
    for (const JsonField& field : root_.at(key).items()) out.push_back(id(field));
    return out;
  }
  std::optional<int32_t> id_or_none(const char* key) const {
    const JsonField field = root_.at(key);
    return field.value.is_null() ? std::nullopt : std::optional(id(field));
  }
  std::vector<AddedToken> added() const;
  std::vector<NormalizeStep> normalizer(const char* key) const;
  std::vector<SplitStep> steps() const;

  JsonField root_;
  int64_t most_;
};

std::vector<AddedToken> SettingsReader::added() const {
  std::vector<AddedToken> out;
  for (const JsonField& field : root_.at("added").items()) {
    const auto f = tuple(field, 7);
    out.push_back(
        {id(f[0]), f[1].text(), f[2].flag(), f[3].flag(), f[4].flag(), f[5].flag(), f[6].flag()});
  }
  return out;
}

std::vector<NormalizeStep> SettingsReader::normalizer(const char* key) const {
  using Kind = NormalizeStep::Kind;
  std::vector<NormalizeStep> out;
  for (const JsonField& field : root_.at(key).items()) {
    const auto f = tuple(field, 4);
    out.push_back({static_cast<Kind>(f[0].whole(0, static_cast<int>(Kind::replace))), f[1].text(),
                   f[2].flag(), f[3].text()});
    if (out.back().literal && out.back().pattern.empty()) f[1].wrong("at least one character");
  }
  return out;
}

std::vector<SplitStep> SettingsReader::steps() const {
  constexpr int kBehaviors = static_cast<int>(SplitBehavior::merged_with_next),
                kSchemes = static_cast<int>(MarkScheme::always);
  std::vector<SplitStep> out;
  for (const JsonField& field : root_.at("steps").items()) {
    const auto f = tuple(field, 5);
    out.push_back({f[0].text(), static_cast<SplitBehavior>(f[1].whole(0, kBehaviors)), f[2].flag(),
                   f[3].text(), static_cast<MarkScheme>(f[4].whole(0, kSchemes))});
  }
  return out;
}

BpeDefinition SettingsReader::read(const std::string& source) const {
  BpeDefinition out{.source = source};
  out.added = added();
  out.unused = ids("unused");
  out.normalizer = normalizer("normalizer");
  out.steps = steps();
  out.byte_level = root_.at("byte_level").flag();
  out.byte_fallback = root_.at("byte_fallback").flag();
  out.unknown = root_.at("unknown").text();
  out.fuse_unknown = root_.at("fuse_unknown").flag();
  out.ignore_merges = root_.at("ignore_merges").flag();
  out.decoding.replace = normalizer("decoding_replace");
  out.decoding.bytes = root_.at("decoding_bytes").flag();
  out.decoding.strip = root_.at("decoding_strip").text();
  out.decoding.strip_most =
      root_.at("decoding_strip_most").whole(0, std::numeric_limits<int64_t>::max());
  out.bos = id_or_none("bos");
  out.behind = ids("behind");
  out.eos = id_or_none("eos");
  return out;
}

}  // namespace

std::string ready_tokenizer(const std::string& path) {
  try {
    const std::optional<BpeDefinition> definition = read_bpe(path);
    if (!definition) return {};
    const std::string settings = settings_text(*definition);
    const uint64_t bytes = settings.size();
    std::string out(reinterpret_cast<const char*>(&bytes), sizeof bytes);
    out += settings;
    out.resize(aligned(out.size()));
    return out += BpeTables::of(*definition).bytes();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::format) throw;
    return {};
  }
}

std::unique_ptr<Tokenizer> load_ready_tokenizer(std::shared_ptr<const void> owner,
                                                std::string_view bytes, const std::string& source) {
  uint64_t settings = 0;
  std::memcpy(&settings, bytes.data(), std::min(bytes.size(), sizeof settings));
  if (bytes.size() < sizeof settings || settings > bytes.size() - sizeof settings)
    throw_error(ErrorKind::format, "{}: its tokenizer: settings of {} bytes in {}", source,
                settings, bytes.size());
  const size_t tables = std::min(aligned(sizeof settings + settings), bytes.size());
  const Json json =
      parse_strict_json(bytes.substr(sizeof settings, settings), source + ": its tokenizer");
  BpeTables read(std::move(owner), bytes.substr(tables), source);
  return make_bpe(SettingsReader(json, source, read.vocab_size()).read(source), read);
}

}  // namespace halftone
