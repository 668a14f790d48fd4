// Names and numbers of the released OneBit checkpoints, from a decoder of OneBit layers.
#include "halftone/model/export_onebit.h"

#include <nlohmann/json.hpp>
#include <set>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/safetensors.h"
#include "halftone/tensor/packed_signs.h"
#include "onebit_layout.h"

namespace halftone {
namespace {

using namespace onebit_layout;

struct Checkpoint {
  Weights tensors;
  std::set<std::string> int8;  // of them
};

[[noreturn]] void refuse(const LinearLike& linear, const std::string& reason) {
  throw_error(ErrorKind::recipe,
              "export: '{}' {}: a released OneBit checkpoint has no place for it", linear.name,
              reason);
}

void require_form(const LinearLike& linear) {
  const std::string form = linear.form();
  if (form == kForm) return;
  if (form.empty()) refuse(linear, "is of full precision");
  if (form == kUnnormedForm) refuse(linear, "has no layer normalisation behind it");
  refuse(linear, fmt::format("is of the form '{}'", form));
}

// The signs and both scales, as numbers as wide as the linear has them.
Weights parts_of(LinearLike& linear) {
  Weights out;
  linear.visit([&](Param& param) { out[param.name] = param.value; });
  const auto latent = out.extract(linear.name + ".weight");
  if (latent.empty()) return linear.stored();
  out[linear.name + ".sign"] = pack_signs(latent.mapped());
  return out;
}

void put_linear(LinearLike& linear, Checkpoint& out) {
  require_form(linear);
  const Weights parts = parts_of(linear);
  const auto put = [&](const char* part, const char* in_file) {
    out.tensors.erase(linear.name + part);
    return out.tensors[linear.name + in_file] = parts.at(linear.name + part);
  };
  put(".sign", kWeight);
  put(".out_scale", kOutScale);
  const int64_t in = put(".in_scale", kInScale).numel();
  if (in % 8 != 0) refuse(linear, fmt::format("reads {} inputs, no multiple of 8", in));
  out.int8.insert(linear.name + kWeight);
}

Checkpoint checkpoint_of(Decoder& decoder) {
  Checkpoint out{.tensors = weights_of(decoder), .int8 = {}};
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) { put_linear(*linear, out); });
  out.tensors["lm_head.weight"] = decoder.head_param().value;
  for (auto& [name, tensor] : out.tensors)
    if (!out.int8.contains(name)) tensor = tensor.to(DType::f32);
  return out;
}

std::string onebit_config_json(const ModelConfig& config) {
  auto json = nlohmann::ordered_json::parse(config_json(config, DType::f32));
  json["architectures"] = {"BitLlamaForCausalLMInf"};
  json["model_type"] = "bitllama";
  return json.dump(2) + "\n";
}

}  // namespace

ExportSummary export_onebit(LoadedModel& model, const Companions& companions,
                            const std::string& directory, const WrittenCheck& check) {
  if (model.config.architecture != "llama")
    throw_error(ErrorKind::recipe,
                "export: the model is of the family {}, a released OneBit checkpoint is a llama",
                model.config.architecture);
  const Checkpoint checkpoint = checkpoint_of(model.decoder);
  write_directory_durably(directory, [&](const std::string& temporary) {
    write_safetensors(temporary + "/model.safetensors", checkpoint.tensors, {{"format", "pt"}},
                      checkpoint.int8);
    write_text_durably(temporary + "/config.json", onebit_config_json(model.config));
    write_companions(companions, temporary, true);
    if (check) check(temporary);
  });
  return {.tensors = static_cast<int64_t>(checkpoint.tensors.size())};
}

}  // namespace halftone
