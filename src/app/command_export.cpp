#include <filesystem>

#include "halftone/app/commands.h"
#include "halftone/app/model_argument.h"
#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/safetensors.h"
#include "halftone/io/text_file.h"

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
        throw_error(ErrorKind::recipe,
                    "export --format hf: '{}' has a layer normalisation behind it, which no dense "
                    "weight can hold; "
                    "train with student.post_layer_norm = false",
                    onebit->latent.name);
      all[onebit->latent.name] = dense_weight(*onebit);
      all.erase(onebit->in_scale.name);
      all.erase(onebit->out_scale.name);
    }
  for (auto& [name, tensor] : all) tensor = tensor.to(DType::f16);
  return all;
}

}  // namespace

int export_command(const std::string& path, const std::string&, const std::string& out) {
  LoadedModel model = load_model_argument(path, DType::f32);
  const Weights weights = dense_weights(model.decoder);
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error) throw_error(ErrorKind::io, "{}: cannot be made: {}", out, error.message());
  write_safetensors(out + "/model.safetensors", weights, {{"format", "pt"}});
  write_text_durably(out + "/config.json", config_json(model.config, DType::f16));
  const std::string tokenizer = std::filesystem::is_directory(model.tokenizer_path)
                                    ? model.tokenizer_path + "/tokenizer.json"
                                    : model.tokenizer_path;
  if (tokenizer.ends_with(".json"))
    write_text_durably(out + "/tokenizer.json", read_text_file(tokenizer, uint64_t{1} << 30));
  fmt::print("{}: {} tensors in F16\n", out, weights.size());
  return 0;
}

}  // namespace halftone
