// A GGUF file as a model: every key in every type, every tensor's numbers, and the model they make.
#include "halftone/io/gguf.h"
#include "model_use.h"

namespace halftone::fuzz {
namespace {

void read_keys(const GgufMetadata& metadata) {
  for (const std::string& key : metadata.keys()) {
    metadata.type_text(key);
    accepted([&] { metadata.get_int(key); });
    accepted([&] { metadata.get_float(key); });
    accepted([&] { metadata.get_bool(key); });
    accepted([&] { metadata.get_string(key); });
    accepted([&] { metadata.get_ints(key); });
    accepted([&] { metadata.get_floats(key); });
    accepted([&] { metadata.get_strings(key); });
    accepted([&] { metadata.array_size(key); });
  }
}

}  // namespace

HT_FUZZ_TARGET(gguf) {
  const std::string path = scratch().write("model.gguf", input);
  if (!accepted([&] { read_keys(GgufMetadata::read(path)); })) return;
  accepted([&] {
    const GgufFile file = GgufFile::open(path);
    for (const GgufTensor& tensor : file.tensors()) {
      accepted([&] {
        const Tensor numbers = file.read(tensor);
        touch(numbers.raw(), numbers.bytes());
      });
    }
    tensors_digest(file.list());
  });
  use_model_file(path);
}

}  // namespace halftone::fuzz
