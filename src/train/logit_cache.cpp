#include "halftone/train/logit_cache.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/base/sha256.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/sealed_file.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

constexpr int64_t kPartTokens = 8192;
// Each part is mapped, and takes a file descriptor, for as long as the run lasts.
constexpr int64_t kMostParts = 256;
constexpr uint32_t kVersion = 1;

struct Header {
  char magic[8] = {'H', 'T', 'L', 'O', 'G', 'I', 'T', 'S'};
  uint32_t version = kVersion;
  uint32_t id_bytes = 0;
  char key[64] = {};
  uint64_t top_k = 0, length = 0, first = 0, sequences = 0;
};
static_assert(sizeof(Header) == 112);

// Sequences of each part but the last.
int64_t sequences_a_part(const LogitCacheSpec& s) {
  return std::max(divide_up(kPartTokens, s.length), divide_up(s.sequences, kMostParts));
}

uint32_t id_bytes(const LogitCacheSpec& s) {
  return s.vocabulary <= 65536 ? 2 : 4;
}

int64_t sequences_of(const LogitCacheSpec& s, int64_t part) {
  return s.first_sequence(part + 1) - s.first_sequence(part);
}

// Bytes of a part's ids, and of its log-probabilities.
uint64_t ids_bytes(const LogitCacheSpec& s, int64_t part) {
  return static_cast<uint64_t>(sequences_of(s, part) * s.length * s.top_k) * id_bytes(s);
}
uint64_t log_probs_bytes(const LogitCacheSpec& s, int64_t part) {
  return ids_bytes(s, part) / id_bytes(s) * sizeof(half_t);
}

Header header_of(const LogitCacheSpec& s, int64_t part) {
  Header out;
  out.id_bytes = id_bytes(s);
  require(s.key.size() == sizeof out.key, "LogitCache: key '{}'", s.key);
  std::memcpy(out.key, s.key.data(), sizeof out.key);
  out.top_k = static_cast<uint64_t>(s.top_k);
  out.length = static_cast<uint64_t>(s.length);
  out.first = static_cast<uint64_t>(s.first_sequence(part));
  out.sequences = static_cast<uint64_t>(sequences_of(s, part));
  return out;
}

// The losses write where the ids say.
template <class Id>
void check_ids(const LogitCacheSpec& spec, int64_t part, const MappedFile& file) {
  const uint8_t* at = file.data() + sizeof(Header);
  for (uint64_t token = 0; token * spec.top_k * sizeof(Id) < ids_bytes(spec, part); ++token) {
    int64_t before = -1;
    for (int64_t i = 0; i < spec.top_k; ++i, at += sizeof(Id)) {
      Id id;
      std::memcpy(&id, at, sizeof id);
      if (id <= before || id >= spec.vocabulary)
        throw_error(ErrorKind::format,
                    "{}: ids of token {}: found {} behind {}, rising ones below {} expected",
                    file.path(), token, id, before, spec.vocabulary);
      before = id;
    }
  }
}

std::shared_ptr<const MappedFile> open_part(const LogitCacheSpec& spec, int64_t part) {
  const std::string path = spec.part_file(part);
  check_seal(path);
  const auto file = MappedFile::open(path);
  const auto check = [&](const char* what, const auto& found, const auto& expected) {
    if (found != expected)
      throw_error(ErrorKind::format, "{}: {}: found {}, expected {}", path, what, found, expected);
  };
  check("bytes", file->size(), spec.part_bytes(part) + kSealBytes);
  Header found;
  const Header expected = header_of(spec, part);
  std::memcpy(&found, file->data(), sizeof found);
  const auto text = [](const auto& chars) {
    return printable(std::string_view(chars, sizeof chars));
  };
  // The key and the bytes stand for what else the header says.
  check("start", text(found.magic), text(expected.magic));
  check("version", found.version, expected.version);
  check("key of teacher, text and settings", text(found.key), text(expected.key));
  check("first sequence", found.first, expected.first);
  id_bytes(spec) == 2 ? check_ids<uint16_t>(spec, part, *file)
                      : check_ids<uint32_t>(spec, part, *file);
  return file;
}

template <class Id>
void append_ids(const Tensor& ids, std::string& bytes) {
  for (const int32_t value : ids_of(ids)) {
    const Id id = static_cast<Id>(value);
    bytes.append(reinterpret_cast<const char*>(&id), sizeof id);
  }
}

template <class Id>
void read_ids(const uint8_t* from, int64_t n, int32_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    Id id;
    std::memcpy(&id, from + static_cast<size_t>(i) * sizeof id, sizeof id);
    out[i] = static_cast<int32_t>(id);
  }
}

}  // namespace

int64_t LogitCacheSpec::parts() const {
  return divide_up(sequences, sequences_a_part(*this));
}

int64_t LogitCacheSpec::first_sequence(int64_t part) const {
  return std::min(part * sequences_a_part(*this), sequences);
}

std::string LogitCacheSpec::part_file(int64_t part) const {
  return fmt::format("{}/part-{:03d}", directory, part);
}

uint64_t LogitCacheSpec::part_bytes(int64_t part) const {
  return sizeof(Header) + ids_bytes(*this, part) + log_probs_bytes(*this, part);
}

uint64_t LogitCacheSpec::bytes() const {
  uint64_t sum = 0;
  for (int64_t part = 0; part < parts(); ++part) sum += part_bytes(part) + kSealBytes;
  return sum;
}

LogitCache::LogitCache(LogitCacheSpec spec) : spec_(std::move(spec)) {
  require(
      spec_.sequences > 0 && spec_.length > 0 && spec_.top_k > 0 && spec_.top_k <= spec_.vocabulary,
      "LogitCache: {} sequences of {} tokens, {} of {} ids", spec_.sequences, spec_.length,
      spec_.top_k, spec_.vocabulary);
  parts_.resize(static_cast<size_t>(spec_.parts()));
  for (int64_t part = 0; part < spec_.parts(); ++part)
    if (exists_at(spec_.part_file(part))) parts_[part] = open_part(spec_, part);
}

bool LogitCache::whole() const {
  return std::all_of(parts_.begin(), parts_.end(),
                     [](const auto& part) { return part != nullptr; });
}

void LogitCache::write(int64_t part, std::span<const TopLogProbs> rows) {
  const Header header = header_of(spec_, part);
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes.reserve(spec_.part_bytes(part));
  for (const TopLogProbs& r : rows)
    id_bytes(spec_) == 2 ? append_ids<uint16_t>(r.ids, bytes) : append_ids<uint32_t>(r.ids, bytes);
  for (const TopLogProbs& r : rows)
    bytes.append(static_cast<const char*>(r.log_probs.raw()), r.log_probs.bytes());
  require(bytes.size() == spec_.part_bytes(part), "LogitCache: {} bytes for part {}, {} expected",
          bytes.size(), part, spec_.part_bytes(part));
  write_sealed_file(spec_.part_file(part), bytes);
  parts_[part] = open_part(spec_, part);
}

TopLogProbs LogitCache::rows(std::span<const int64_t> sequences) const {
  const int64_t n = static_cast<int64_t>(sequences.size()) * spec_.length, k = spec_.top_k;
  const int64_t each = spec_.length * k;  // entries
  std::vector<int32_t> all_ids(static_cast<size_t>(n * k));
  std::vector<half_t> all_log_probs(all_ids.size());
  int32_t* ids = all_ids.data();
  half_t* log_probs = all_log_probs.data();
  for (const int64_t s : sequences) {
    require(s >= 0 && s < spec_.sequences, "LogitCache: sequence {} of {}", s, spec_.sequences);
    const int64_t part = s / sequences_a_part(spec_);
    require(holds(part), "LogitCache: part {} is not there", part);
    const uint8_t* data = parts_[part]->data() + sizeof(Header);
    const size_t at = static_cast<size_t>((s - spec_.first_sequence(part)) * each);
    const uint8_t* from = data + at * id_bytes(spec_);
    id_bytes(spec_) == 2 ? read_ids<uint16_t>(from, each, ids)
                         : read_ids<uint32_t>(from, each, ids);
    std::memcpy(log_probs, data + ids_bytes(spec_, part) + at * sizeof(half_t),
                static_cast<size_t>(each) * sizeof(half_t));
    ids += each;
    log_probs += each;
  }
  return {Tensor::of({n, k}, all_ids), Tensor::of({n, k}, all_log_probs)};
}

std::string LogitCache::sha256() const {
  require(whole(), "LogitCache: a part is not there");
  Sha256 digest;
  for (const auto& part : parts_)
    digest.update(part->data() + part->size() - kSealBytes, kSealBytes);
  return digest.hex();
}

TopLogProbs teacher_rows(Decoder& teacher, const std::vector<int32_t>& ids, int64_t batch,
                         int64_t top_k, double temperature) {
  Tape tape(Tape::Mode::no_grad);
  const Var hidden = teacher.hidden(tape, ids, batch);
  return top_log_probs(hidden.value(), teacher.head_weight(tape).value(), top_k, temperature);
}

}  // namespace halftone
