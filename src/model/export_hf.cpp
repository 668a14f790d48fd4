#include "halftone/model/export_hf.h"

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/safetensors.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

Weights dense_weights(Decoder& decoder) {
  Weights all = weights_beside_linears(decoder);
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    all[linear->name + ".weight"] = linear->dense_weight();
    if (linear->bias.value.defined()) all[linear->bias.name] = linear->bias.value;
  });
  return all;
}

DType stored_dtype(ExportDtype dtype) {
  switch (dtype) {
    case ExportDtype::bf16:
      return DType::bf16;
    case ExportDtype::f32:
      return DType::f32;
    default:
      return DType::f16;
  }
}

// The tensor as it is written.
Tensor stored(const Tensor& tensor, const std::string& name, ExportDtype dtype,
              ExportSummary& summary) {
  const DType wanted = stored_dtype(dtype);
  const Tensor out = tensor.to(wanted);
  const int64_t lost = count_non_finite(wanted == DType::bf16 ? out.to(DType::f32) : out);
  ++summary.tensors;
  if (lost == 0) return out;
  if (dtype != ExportDtype::automatic)
    throw_error(ErrorKind::numerical,
                "export: '{}' holds {} numbers beyond {}'s greatest: choose --dtype auto or f32",
                name, lost, dtype_name(wanted));
  ++summary.beyond_f16;
  const Tensor brain = tensor.to(DType::bf16);
  return count_changed(tensor, brain) == 0 ? brain : tensor.to(DType::f32);
}

}  // namespace

ExportSummary export_hf(LoadedModel& model, const Companions& companions, ExportDtype dtype,
                        const std::string& directory, const WrittenCheck& check) {
  Weights weights = dense_weights(model.decoder);
  ExportSummary summary;
  for (auto& [name, tensor] : weights) tensor = stored(tensor, name, dtype, summary);
  // Readers convert all to the dtype that config.json names, so it must hold every tensor.
  const DType named = summary.beyond_f16 > 0 ? DType::f32 : stored_dtype(dtype);
  write_directory_durably(directory, [&](const std::string& temporary) {
    write_safetensors(temporary + "/model.safetensors", weights, {{"format", "pt"}});
    write_text_durably(temporary + "/config.json", config_json(model.config, named));
    write_companions(companions, temporary, true);
    if (check) check(temporary);
  });
  return summary;
}

}  // namespace halftone
