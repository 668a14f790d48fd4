// A model to and from a packed file.
#include "halftone/model/packed.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "halftone/base/error.h"
#include "halftone/io/packed_file.h"
#include "halftone/io/sealed_file.h"
#include "halftone/model/build.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

constexpr const char *kConfig = "config", *kForms = "linear_forms", *kWriter = "halftone";

// A matrix beside the linears.
Tensor table(const Tensor& matrix, bool q8_0) {
  if (q8_0 && matrix.dim(1) % q8_0_t::kNumbers == 0) return matrix.to(DType::f32).to(DType::q8_0);
  return to_f16_where_it_fits(matrix);
}

// A linear's tensors in the order of the kernels, also of one whose signs are not packed yet.
Weights mapped_linear(const LinearLike& linear, const Slot& slot) {
  const bool signs = linear.stored().contains(slot.hf + ".sign");
  return signs ? stored_linear(linear, slot)->mapped() : linear.mapped();
}

Weights mapped_weights(Decoder& decoder, bool q8_0) {
  Weights out = weights_beside_linears(decoder);
  const auto embedding = decoder.spec.embedding.hf + ".weight",
             head = decoder.spec.head ? decoder.spec.head->hf + ".weight" : std::string();
  for (auto& [name, tensor] : out)
    if (tensor.rank() == 2) tensor = table(tensor, q8_0 && (name == embedding || name == head));
  for (Block& block : decoder.blocks)
    for (const Slot& slot : block.spec.slots)
      if (!slot.is_norm()) out.merge(mapped_linear(*block.linears.at(slot.role), slot));
  return out;
}

const std::string& meta(const PackedFile& file, const char* key, const std::string& path) {
  const auto it = file.meta().find(key);
  if (it == file.meta().end()) throw_error(ErrorKind::format, "{}: no meta '{}'", path, key);
  return it->second;
}

}  // namespace

PackedExportSummary export_packed(LoadedModel& model, const Companions& companions,
                                  const PackedExportOptions& options, const std::string& path,
                                  const WrittenCheck& check) {
  PackedContent content{.meta = {{kConfig, config_json(model.config, DType::f32)},
                                 {kForms, nlohmann::json(linear_forms(model.decoder)).dump()},
                                 {kWriter, HALFTONE_VERSION}},
                        .files = companions.files,
                        .tensors = mapped_weights(model.decoder, options.q8_0_embedding),
                        .tokenizer = options.tokenizer};
  PackedExportSummary out{.tensors = static_cast<int64_t>(content.tensors.size())};
  for (const auto& [name, tensor] : content.tensors) out.rounded |= tensor.dtype() == DType::q8_0;
  write_packed_file(path, content, check);
  out.bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  return out;
}

ModelOutline packed_outline(const std::string& path) {
  const PackedFile file = PackedFile::open(path);
  ModelOutline out{.config = parse_config(meta(file, kConfig, path), path), .home = path};
  out.dense = parse_linear_forms(meta(file, kForms, path), path).empty();
  for (const auto& [name, tensor] : file.tensors())
    out.stored_as_f16 = out.stored_as_f16 && (tensor.rank() != 2 || tensor.dtype() != DType::f32);
  return out;
}

LoadedModel load_packed(const std::string& path, bool check) {
  const SealedContent seal = check ? check_seal(path) : read_seal(path);
  const PackedFile file = PackedFile::open(path);
  LoadedModel out;
  out.config = parse_config(meta(file, kConfig, path), path);
  out.decoder = build_decoder(decoder_spec(out.config), file.tensors(),
                              parse_linear_forms(meta(file, kForms, path), path));
  out.path = out.home = path;
  out.sha256 = seal.sha256;
  out.file_bytes = static_cast<int64_t>(seal.bytes + kSealBytes);
  return out;
}

}  // namespace halftone
