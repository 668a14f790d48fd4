// A packed model without its seal, which is put behind it, as is the digest of its lists: its
// lists, its tensors, the files in it, its tokenizer, and the model that they make.
#include <cstring>

#include "halftone/base/sha256.h"
#include "halftone/io/packed_file.h"
#include "halftone/io/sealed_file.h"
#include "halftone/io/text_file.h"
#include "model_use.h"

namespace halftone::fuzz {

namespace {

// With the digest that fits what it holds, where it is long enough to have one.
std::string with_digest(std::string bytes) {
  constexpr uint64_t kHead = 32, kDigest = 64;
  if (bytes.size() < kHead + kDigest || static_cast<unsigned char>(bytes[8]) < 2) return bytes;
  uint64_t lengths[2];
  std::memcpy(lengths, bytes.data() + 16, sizeof lengths);
  const uint64_t room = bytes.size() - kHead - kDigest;
  if (lengths[0] > room || lengths[1] > room - lengths[0]) return bytes;
  const std::string digest =
      sha256_hex(bytes.substr(0, kHead) + bytes.substr(kHead + kDigest, lengths[0] + lengths[1]));
  return bytes.replace(kHead, kDigest, digest);
}

}  // namespace

HT_FUZZ_TARGET(packed) {
  const std::string path = scratch().write("model.packed", with_digest(std::string(input)));
  if (!accepted([&] { seal_file(path); })) return;
  const auto read = [&] {
    const PackedFile file = PackedFile::open(path);
    accepted([&] {
      for (const auto& [name, tensor] : file.tensors()) touch(tensor.raw(), tensor.bytes());
      tensors_digest(file.list());
    });
    for (const auto& file_inside : file.files())
      accepted([&] { read_text_file(path + "/" + file_inside.first, 1 << 20); });
    if (file.tokenizer()) accepted([&] { use_tokenizer(*load_tokenizer(path)); });
  };
  if (!accepted(read)) return;
  use_model_file(path);
}

}  // namespace halftone::fuzz
