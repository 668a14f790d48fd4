// A packed model without its seal, which is put behind it: its lists, its tensors, the files in it,
// and the model that they make.
#include "halftone/io/packed_file.h"
#include "halftone/io/sealed_file.h"
#include "halftone/io/text_file.h"
#include "model_use.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(packed) {
  const std::string path = scratch().write("model.packed", input);
  if (!accepted([&] { seal_file(path); })) return;
  const auto read = [&] {
    const PackedFile file = PackedFile::open(path);
    accepted([&] {
      for (const auto& [name, tensor] : file.tensors()) touch(tensor.raw(), tensor.bytes());
      tensors_digest(file.list());
    });
    for (const auto& entry : file.files())
      accepted([&] { read_text_file(path + "/" + entry.first, 1 << 20); });
  };
  if (!accepted(read)) return;
  use_model_file(path);
}

}  // namespace halftone::fuzz
