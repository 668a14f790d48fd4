// Tensors by GGUF's names, each in its type, made when their turn to be written has come.
#include "halftone/model/export_gguf.h"

#include <algorithm>

#include "config_gguf_parts.h"
#include "halftone/base/error.h"
#include "halftone/io/gguf_writer.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/numbers.h"
#include "halftone/text/gguf_tokens.h"
#include "rotary_rows.h"

namespace halftone {
namespace {

// llama.cpp's number of a file most of whose matrices are of a type (llama_ftype).
uint32_t file_type(const GgmlType& type) {
  constexpr std::pair<const char*, uint32_t> kTypes[] = {{"F16", 1},    {"Q4_0", 2},  {"TQ1_0", 36},
                                                         {"TQ2_0", 37}, {"Q1_0", 40}, {"Q2_0", 41}};
  for (const auto& [name, number] : kTypes)
    if (std::string_view(type.name) == name) return number;
  return 1;
}

// The matrix of a linear as it is packed, its scales F16.
Tensor packed_weight(const LinearLike& linear, const Slot& slot) {
  if (linear.full_precision()) return *linear.full_precision();
  return stored_linear(linear, slot)->dense_weight();
}

bool holds(const GgmlType& type, const Tensor& matrix) {
  if (matrix.dim(1) % type.block != 0) return false;
  std::vector<uint8_t> bytes(gguf_bytes(type, matrix.shape()));
  return gguf_encode(type, matrix, bytes);
}

[[noreturn]] void throw_misfit(const GgmlType& type, const std::string& name,
                               const Tensor& matrix) {
  const std::string_view of = type.name;
  const std::string why =
      matrix.dim(1) % type.block != 0
          ? fmt::format("its width of {} is no multiple of {}", matrix.dim(1), type.block)
          : fmt::format("{} neighbours are no {} of one F16 number", type.block,
                        of == "Q1_0"   ? "signs"
                        : of == "Q4_0" ? "small multiples"
                                       : "signs and zeros");
  throw_error(ErrorKind::recipe, "--gguf-type: '{}' does not fit {}: {}; choose auto", name, of,
              why);
}

// Chooses the type of each tensor, and makes its numbers.
class Exporter {
 public:
  Exporter(LoadedModel& model, bool paired, const GgufExportOptions& options)
      : paired_(paired), options_(options), weights_(weights_of(model.decoder)) {
    for (Block& block : model.decoder.blocks)
      for (const Slot& slot : block.spec.slots)
        if (!slot.is_norm())
          linears_[slot.hf + ".weight"] = {block.linears.at(slot.role).get(), &slot};
  }

  GgufTensorSource source(const ExpectedWeight& weight);
  const GgmlType& most_used() const;
  GgufExportSummary finished() const;

 private:
  struct Place {
    const LinearLike* linear;
    const Slot* slot;
  };
  Tensor numbers(const ExpectedWeight& weight) const;
  const GgmlType& type_of(const ExpectedWeight& weight);
  const GgmlType& linear_type(const std::string& name, const Tensor& matrix);
  const GgmlType& f16(const std::string& name, const Tensor& matrix);

  bool paired_;
  const GgufExportOptions& options_;
  Weights weights_;
  std::map<std::string, Place> linears_;
  std::map<const GgmlType*, int64_t> weights_of_type_;  // of the linears
  GgufExportSummary summary_;
};

Tensor Exporter::numbers(const ExpectedWeight& weight) const {
  const auto found = linears_.find(weight.name);
  Tensor out = found == linears_.end() ? weights_.at(weight.name)
                                       : packed_weight(*found->second.linear, *found->second.slot);
  if (paired_ && weight.rotary_heads)
    out = rotary_rows(out, weight.rotary_heads, RotaryOrder::pairs);
  return weight.gguf_offset == 0 ? out : shifted(out, weight.gguf_offset);
}

// F16, which must not lose a number to infinity.
const GgmlType& Exporter::f16(const std::string& name, const Tensor& matrix) {
  const Tensor half = matrix.to(DType::f16);
  if (const int64_t beyond = count_non_finite(half))
    throw_error(ErrorKind::numerical, "export: '{}' holds {} numbers beyond F16's greatest, 65504",
                name, beyond);
  summary_.changed += count_changed(matrix, half);
  return ggml_type("F16");
}

const GgmlType& Exporter::linear_type(const std::string& name, const Tensor& matrix) {
  const GgmlType* wanted = options_.linears;
  if (!wanted)
    for (const GgmlType* type : gguf_linear_types())
      if (type->quantize_exactly && holds(*type, matrix)) return *type;
  if (!wanted || !wanted->quantize_exactly) return f16(name, matrix);
  if (!holds(*wanted, matrix)) throw_misfit(*wanted, name, matrix);
  return *wanted;
}

const GgmlType& Exporter::type_of(const ExpectedWeight& weight) {
  if (weight.shape.size() != 2) return ggml_type("F32");
  const Tensor matrix = numbers(weight);
  if (linears_.contains(weight.name)) {
    const GgmlType& type = linear_type(weight.name, matrix);
    ++summary_.linears[type.name];
    weights_of_type_[&type] += matrix.numel();
    return type;
  }
  const GgmlType& q8_0 = ggml_type("Q8_0");
  if (options_.q8_0_embedding && matrix.dim(1) % q8_0.block == 0) return q8_0;
  if (options_.q8_0_embedding)
    summary_.notes.push_back(
        fmt::format("'{}' is F16: its width of {} is no multiple of Q8_0's block of {}",
                    weight.name, matrix.dim(1), q8_0.block));
  return f16(weight.name, matrix);
}

GgufTensorSource Exporter::source(const ExpectedWeight& weight) {
  const GgmlType* type = &type_of(weight);
  ++summary_.tensors;
  return {weight.gguf_name, type, weight.shape, [this, type, weight](std::span<uint8_t> bytes) {
            gguf_encode(*type, numbers(weight), bytes);
          }};
}

const GgmlType& Exporter::most_used() const {
  return *std::ranges::max_element(weights_of_type_, {}, [](const auto& item) {
            return item.second;
          })->first;
}

GgufExportSummary Exporter::finished() const {
  GgufExportSummary out = summary_;
  double bits = 0, weights = 0;
  for (const auto& [type, numbers] : weights_of_type_) {
    bits += type->bits() * static_cast<double>(numbers);
    weights += static_cast<double>(numbers);
  }
  out.bits = bits / weights;
  return out;
}

template <class... Lists>
std::vector<GgufKey> joined(const Lists&... lists) {
  std::vector<GgufKey> out;
  (out.insert(out.end(), lists.begin(), lists.end()), ...);
  return out;
}

}  // namespace

const std::vector<const GgmlType*>& gguf_linear_types() {
  static const std::vector<const GgmlType*> types = {&ggml_type("Q1_0"),  &ggml_type("TQ1_0"),
                                                     &ggml_type("TQ2_0"), &ggml_type("Q2_0"),
                                                     &ggml_type("Q4_0"),  &ggml_type("F16")};
  return types;
}

GgufExportSummary export_gguf(LoadedModel& model, const Companions& companions,
                              const GgufExportOptions& options, const std::string& path,
                              const WrittenCheck& check) {
  const GgufConfig config = gguf_config(model.config);
  const GgufTokens tokens =
      gguf_tokens(model.home, companions.files,
                  {model.config.vocab_size, model.config.bos_token_id, model.config.pad_token_id});
  Exporter exporter(model, config.architecture == "llama", options);
  std::vector<GgufTensorSource> tensors;
  for (const auto& [name, factors] : config.factors)
    tensors.push_back(
        {name, &ggml_type("F32"), factors.shape(), [tensor = factors](std::span<uint8_t> bytes) {
           gguf_encode(ggml_type("F32"), tensor, bytes);
         }});
  for (const ExpectedWeight& weight : expected_weights(model.decoder.spec))
    tensors.push_back(exporter.source(weight));
  GgufExportSummary summary = exporter.finished();
  summary.notes.insert(summary.notes.end(), tokens.notes.begin(), tokens.notes.end());
  const std::vector<GgufKey> general = {
      {"general.architecture", config.architecture},
      {"general.type", std::string("model")},
      {"general.name", options.name},
      {"general.file_type", file_type(exporter.most_used())},
      {"general.quantization_version", uint32_t{2}},
  };
  std::vector<GgufKey> provenance = {
      {"halftone.version", std::string(HALFTONE_VERSION)},
      {"halftone.bits_per_weight", static_cast<float>(summary.bits)},
  };
  if (!options.method.empty()) provenance.push_back({"halftone.method", options.method});
  write_gguf(path, joined(general, config.keys, tokens.keys, provenance), tensors, check);
  return summary;
}

}  // namespace halftone
