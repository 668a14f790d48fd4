// A packed model without its seal, which is put behind it, as is the digest of its lists: its
// lists, its tensors, the files in it, its tokenizer, and the model that they make.
#include <cstring>
#include <optional>

#include "halftone/base/sha256.h"
#include "halftone/io/packed_file.h"
#include "halftone/io/sealed_file.h"
#include "halftone/io/text_file.h"
#include "halftone/model/companions.h"
#include "model_use.h"

namespace halftone::fuzz {

namespace {

constexpr uint64_t kHead = 32, kLengths = 16, kDigest = 64;

// The place behind the JSON object that begins at `at`; `at` where none does.
size_t object_end(std::string_view text, size_t at) {
  int depth = 0;
  bool inside = false;  // a text
  for (size_t i = at; i < text.size(); ++i) {
    if (inside && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      inside = !inside;
    else if (!inside && text[i] == '{')
      ++depth;
    else if (!inside && text[i] == '}' && --depth == 0)
      return i + 1;
    if (depth == 0) return at;
  }
  return at;
}

// With the digest that fits what it holds, where it is long enough to have one, and in every other
// input with the lengths of its lists, so that longer and shorter lists are read.
std::string with_digest(std::string bytes) {
  if (bytes.size() < kHead + kDigest || static_cast<unsigned char>(bytes[8]) < 2) return bytes;
  const uint64_t begin = kHead + kDigest;
  uint64_t lengths[2];
  std::memcpy(lengths, bytes.data() + kLengths, sizeof lengths);
  if (bytes.size() % 2 != 0) {
    const size_t first = object_end(bytes, begin), second = object_end(bytes, first);
    lengths[0] = first - begin;
    lengths[1] = second - first;
    std::memcpy(bytes.data() + kLengths, lengths, sizeof lengths);
  }
  const uint64_t room = bytes.size() - begin;
  if (lengths[0] > room || lengths[1] > room - lengths[0]) return bytes;
  const std::string digest =
      sha256_hex(bytes.substr(0, kHead) + bytes.substr(begin, lengths[0] + lengths[1]));
  return bytes.replace(kHead, kDigest, digest);
}

}  // namespace

HT_FUZZ_TARGET(packed) {
  const std::string path = scratch().write("model.packed", with_digest(std::string(input)));
  if (!accepted([&] { seal_file(path); })) return;
  // All that follows opens the file; while it is held, its lists are not read again.
  std::optional<PackedFile> held;
  if (!accepted([&] { held = PackedFile::open(path); })) return;
  for (const auto& file : held->files())
    accepted([&] { read_text_file(path + "/" + file.first, 1 << 20); });
  accepted([&] {
    const Inspection found = inspect_path(path);
    tensors_digest(found.stored);
    inspect_tokenizer(found);
  });
  accepted([&] { read_outline(path); });
  std::unique_ptr<Tokenizer> tokenizer;
  accepted([&] {
    LoadedModel model = load_model(path);
    footprint(model.decoder, model.file_bytes);
    use_model(model);
    read_companions(model.home, model.config);
    tokenizer = load_model_tokenizer(model.home, model.config);
  });
  accepted([&] {
    if (!tokenizer) tokenizer = load_tokenizer(path);
    use_tokenizer(*tokenizer);
  });
}

}  // namespace halftone::fuzz
