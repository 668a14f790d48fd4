#include "halftone/model/export_hf.h"

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/safetensors.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

// h sign(W) g of a layer without normalisation: the dense weight that it is.
Tensor dense_weight(const OneBitLinear& linear) {
  const int64_t o = linear.latent.value.dim(0), i = linear.latent.value.dim(1);
  Tensor w = Tensor::uninitialized({o, i}, DType::f32);
  for (int64_t r = 0; r < o; ++r)
    for (int64_t c = 0; c < i; ++c)
      w.data<float>()[r * i + c] =
          linear.out_scale.value.data<float>()[r] * linear.in_scale.value.data<float>()[c] *
          (linear.latent.value.data<float>()[r * i + c] >= 0 ? 1.0f : -1.0f);
  return w;
}

Weights dense_weights(Decoder& decoder) {
  Weights all = weights_of(decoder);
  for (Block& block : decoder.blocks)
    for (const auto* linear : block.linears()) {
      const auto* onebit = dynamic_cast<OneBitLinear*>(linear->get());
      if (!onebit) continue;
      if (onebit->options.post_layer_norm)
        throw_error(ErrorKind::recipe, "export --format hf: '{}' {}", onebit->latent.name,
                    hf_export_obstacle(true));
      all[onebit->latent.name] = dense_weight(*onebit);
      all.erase(onebit->in_scale.name);
      all.erase(onebit->out_scale.name);
    }
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

std::string hf_export_obstacle(bool post_layer_norm) {
  return post_layer_norm ? "has a layer normalisation behind it, which no dense weight can hold; "
                           "train with student.post_layer_norm = false"
                         : "";
}

ExportSummary export_hf(LoadedModel& model, const Companions& companions, ExportDtype dtype,
                        const std::string& directory) {
  Weights weights = dense_weights(model.decoder);
  ExportSummary summary;
  for (auto& [name, tensor] : weights) tensor = stored(tensor, name, dtype, summary);
  // Readers convert all to the dtype that config.json names, so it must hold every tensor.
  const DType named = summary.beyond_f16 > 0 ? DType::f32 : stored_dtype(dtype);
  write_directory_durably(directory, [&](const std::string& temporary) {
    write_safetensors(temporary + "/model.safetensors", weights, {{"format", "pt"}});
    write_text_durably(temporary + "/config.json", config_json(model.config, named));
    write_companions(companions, temporary, true);
  });
  return summary;
}

}  // namespace halftone
