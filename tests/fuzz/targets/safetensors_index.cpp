// An index of several safetensors files, beside three that are well-formed: one.safetensors with
// the tensors a (F32, 2 x 2) and b (F16, 3), two.safetensors with c (I64, 1), and one of no
// tensors, none.safetensors. A second part is one more file, other.safetensors.
#include "halftone/io/safetensors.h"
#include "model_use.h"

namespace halftone::fuzz {
namespace {

bool write_shards() {
  write_safetensors(scratch().file("one.safetensors"), {{"a", Tensor::zeros({2, 2}, DType::f32)},
                                                        {"b", Tensor::zeros({3}, DType::f16)}});
  write_safetensors(scratch().file("two.safetensors"), {{"c", Tensor::zeros({1}, DType::i64)}});
  write_safetensors(scratch().file("none.safetensors"), {});
  return true;
}

}  // namespace

HT_FUZZ_TARGET(safetensors_index) {
  static const bool shards = write_shards();
  (void)shards;
  write_parts(input, {"model.safetensors.index.json", "other.safetensors"});
  const std::string path = scratch().file("model.safetensors.index.json");
  accepted([&] { use_inspection(path); });
  accepted([&] { tensors_digest(list_sharded_safetensors(path)); });
  accepted([&] {
    for (const auto& [name, tensor] : read_sharded_safetensors(path).tensors)
      touch(tensor.raw(), tensor.bytes());
  });
}

}  // namespace halftone::fuzz
