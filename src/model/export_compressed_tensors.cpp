// Which scales a model's linears share, and its directory with each linear packed by them.
#include "halftone/model/export_compressed_tensors.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "compressed_tensors_layout.h"
#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/safetensors.h"
#include "halftone/quant/sign_groups.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kGroups[] = {kWholeRow, 128, 64, 32};  // the most first

// Why W has no scale for each group; nothing: it has.
std::optional<std::string> misfit(const Tensor& w, int64_t group) {
  const int64_t in = w.dim(1), width = width_of(group, in);
  if (in % width != 0) return fmt::format("reads {} inputs, no multiple of {}", in, width);
  const auto pair = unequal_pair(w, width);
  if (!pair) return {};
  return fmt::format(
      "has weights of two magnitudes in row {}, {} at input {} and {} at input {}: one scale for "
      "{} is all that the format holds, which neither two scales a weight nor full precision fits",
      pair->row, pair->at_first, pair->first, pair->at_second, pair->second,
      group == kWholeRow ? "each row" : fmt::format("each {} neighbouring inputs", group));
}

int64_t shared_group(Decoder& decoder) {
  std::vector<int64_t> left(std::begin(kGroups), std::end(kGroups));
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    const Tensor w = linear->dense_weight();
    std::string reason;
    std::erase_if(left, [&](int64_t group) {
      const auto found = misfit(w, group);
      if (found) reason = *found;
      return found.has_value();
    });
    if (left.empty())
      throw_error(ErrorKind::recipe, "export: compressed-tensors: '{}' {}", linear->name, reason);
  });
  return left.front();
}

Weights packed_linears(Decoder& decoder, int64_t group) {
  Weights out = weights_beside_linears(decoder);
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    if (linear->bias.value.defined()) out[linear->bias.name] = linear->bias.value;
    const Tensor w = linear->dense_weight();
    out[linear->name + compressed_layout::kCodes] = pack_sign_codes(w);
    out[linear->name + compressed_layout::kScale] = group_magnitudes(w, width_of(group, w.dim(1)));
    out[linear->name + compressed_layout::kShape] = Tensor::of<int64_t>({2}, {w.dim(0), w.dim(1)});
  });
  return out;
}

bool is_real(const Tensor& tensor) {
  return tensor.dtype() != DType::i32 && tensor.dtype() != DType::i64;
}

// Every linear that is not packed, by name: the library takes all others to be.
Json ignored(const DecoderSpec& spec) {
  Json out{"lm_head"};
  if (spec.projections) {
    out.push_back(spec.projections->in.hf);
    out.push_back(spec.projections->out.hf);
  }
  return out;
}

Json quantization_json(const DecoderSpec& spec, int64_t group) {
  const bool whole = group == kWholeRow;
  const Json weights{{"num_bits", 2},
                     {"type", "int"},
                     {"symmetric", true},
                     {"strategy", whole ? "channel" : "group"},
                     {"group_size", whole ? Json(nullptr) : Json(group)},
                     {"dynamic", false}};
  const Json scheme{{"targets", {"Linear"}}, {"weights", weights}};
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"config_groups", {{"group_0", scheme}}},
          {"ignore", ignored(spec)}};
}

}  // namespace

ExportSummary export_compressed_tensors(LoadedModel& model, const Companions& companions,
                                        const std::string& directory, const WrittenCheck& check) {
  const int64_t group = shared_group(model.decoder);
  Weights weights = packed_linears(model.decoder, group);
  int64_t changed = 0, not_f16 = 0;
  for (auto& [name, tensor] : weights)
    if (is_real(tensor)) tensor = keep_matrix(tensor.to(DType::f32), {}, changed, not_f16);
  // Readers convert all to the dtype that config.json names, so it must hold every tensor.
  Json config = Json::parse(config_json(model.config, not_f16 > 0 ? DType::f32 : DType::f16));
  config["quantization_config"] = quantization_json(model.decoder.spec, group);
  write_directory_durably(directory, [&](const std::string& temporary) {
    write_safetensors(temporary + "/model.safetensors", weights, {{"format", "pt"}});
    write_text_durably(temporary + "/config.json", config.dump(2) + "\n");
    write_companions(companions, temporary, true);
    if (check) check(temporary);
  });
  return {.tensors = static_cast<int64_t>(weights.size())};
}

}  // namespace halftone
