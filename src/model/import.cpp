#include "halftone/model/import.h"

#include <cstring>
#include <optional>

#include "compressed_tensors_layout.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/gguf.h"
#include "halftone/io/safetensors.h"
#include "halftone/model/spec.h"
#include "halftone/quant/sign_groups.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/numbers.h"
#include "onebit_layout.h"
#include "rotary_rows.h"

namespace halftone {
namespace {

using Files = std::vector<std::shared_ptr<const MappedFile>>;
using Problems = std::vector<std::string>;

constexpr size_t kMaxProblems = 5;

// One error for all that does not fit, at most kMaxProblems of it in words.
void throw_problems(const std::string& path, const Problems& problems) {
  if (problems.empty()) return;
  const size_t shown = std::min(problems.size(), kMaxProblems);
  std::string text = fmt::format("{}", fmt::join(problems.begin(), problems.begin() + shown, "; "));
  if (problems.size() > shown) text += fmt::format("; and {} more", problems.size() - shown);
  throw_error(ErrorKind::format, "{}: the tensors do not fit the configuration: {}", path, text);
}

void check_shape(const std::string& name, const Shape& found, const Shape& expected,
                 Problems& problems) {
  if (found != expected)
    problems.push_back(fmt::format("tensor '{}' has shape {}, expected {}", printable(name),
                                   shape_text(found), shape_text(expected)));
}

std::string missing(const std::string& name, const Shape& shape) {
  return fmt::format("tensor '{}' is missing, expected with shape {}", name, shape_text(shape));
}

std::string unknown(const std::string& name, const Shape& shape) {
  return fmt::format("tensor '{}' with shape {} belongs to no part of the model", printable(name),
                     shape_text(shape));
}

bool is_real(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

// The tensor as its kind is kept; `stored` as the file holds it. Of a OneBit layer no number is
// rounded: its scales are F16 where that is the same, as a layer that is not trained has them.
Tensor kept_weight(const Tensor& stored, const ExpectedWeight& spec, const ImportOptions& options,
                   ImportedModel& out) {
  int64_t none = 0;
  if (spec.role == ParamRole::scale) return keep_matrix(stored, {}, none, none);
  if (spec.role == ParamRole::latent || spec.shape.size() != 2) return stored.to(DType::f32);
  return keep_matrix(stored, options, out.changed, out.not_f16);
}

void put_weight(const Tensor& stored, const ExpectedWeight& spec, const ImportOptions& options,
                const std::string& name, ImportedModel& out) {
  const Tensor kept = kept_weight(stored, spec, options, out);
  if (const int64_t n = count_non_finite(kept))
    throw_error(ErrorKind::format,
                "{}: tensor '{}' holds {} numbers that are not finite{} (of {}, stored as {})",
                out.path, spec.name, n,
                options.dtype == WeightDtype::f16 ? " or beyond F16's greatest, 65504" : "",
                kept.numel(), dtype_name(stored.dtype()));
  out.weights.emplace(name, kept);
}

std::string digest_of(const Files& files) {
  const auto digest = [](const MappedFile& file) {
    Sha256 sha;
    if (file.size()) sha.update(file.data(), file.size());
    return sha.hex();
  };
  if (files.size() == 1) return digest(*files[0]);
  std::string lines;
  for (const auto& file : files) {
    const std::string name = file->path().substr(file->path().rfind('/') + 1);
    lines += digest(*file) + "  " + name + "\n";
  }
  return sha256_hex(lines);
}

bool same_numbers(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// --- Hugging Face ------------------------------------------------------------------------------

Safetensors read_hf_weights(const std::string& directory) {
  const std::string file = hf_weights_file(directory);
  return file.ends_with(".json") ? read_sharded_safetensors(file) : read_safetensors(file);
}

// A model saved without its head lacks the prefix that the head's sibling has.
void add_prefixes(Safetensors& file, const DecoderSpec& spec) {
  constexpr std::string_view kPrefix = "model.";
  for (const ExpectedWeight& weight : expected_weights(spec)) {
    if (!weight.name.starts_with(kPrefix) || file.tensors.contains(weight.name)) continue;
    auto bare = file.tensors.extract(weight.name.substr(kPrefix.size()));
    if (bare.empty()) continue;
    bare.key() = weight.name;
    file.tensors.insert(std::move(bare));
  }
}

// A tied model may hold its head a second time, as long as it is the embedding.
void drop_tied_head(Safetensors& file, const DecoderSpec& spec, const std::string& path) {
  const std::string name = spec.embedding.hf + ".weight";
  const auto head = file.tensors.find("lm_head.weight"), embedding = file.tensors.find(name);
  if (spec.head || head == file.tensors.end()) return;
  if (embedding != file.tensors.end() && !same_numbers(head->second, embedding->second))
    throw_error(ErrorKind::format,
                "{}: tie_word_embeddings is true, but tensor 'lm_head.weight' differs from '{}'",
                path, name);
  file.tensors.erase(head);
}

// The file of a model whose tensors fit its configuration.
struct HfModel {
  ModelConfig config;
  bool onebit;
  std::optional<int64_t> code_group;  // of linears in the compressed-tensors layout
  Safetensors file;
  std::vector<HfTensor> tensors;
};

void check_dtype(const HfTensor& tensor, DType dtype, bool int8, Problems& problems) {
  if (tensor.dtype ? dtype == *tensor.dtype : is_real(dtype)) return;
  problems.push_back(fmt::format(
      "tensor '{}' is {}, expected {}", tensor.in_file.name, int8 ? "I8" : dtype_name(dtype),
      tensor.dtype ? dtype_name(*tensor.dtype) : "F32, F64, F16 or BF16"));
}

std::vector<HfTensor> tensors_of(const HfModel& model, const DecoderSpec& spec,
                                 const std::string& path) {
  if (model.code_group) return code_tensors(spec, *model.code_group, path);
  return model.onebit ? onebit_tensors(spec, model.file) : dense_tensors(spec);
}

// The shape that a packed weight says it has is the configuration's.
void check_recorded_shapes(const HfModel& model, const DecoderSpec& spec, Problems& problems) {
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots) {
      const auto at = model.file.tensors.find(slot.hf + compressed_layout::kShape);
      const Tensor expected = Tensor::of<int64_t>({2}, {slot.out, slot.in});
      if (at == model.file.tensors.end() || slot.is_norm() || at->second.dtype() != DType::i64 ||
          at->second.shape() != expected.shape() || same_numbers(at->second, expected))
        continue;
      const auto* found = static_cast<const int64_t*>(at->second.raw());
      problems.push_back(fmt::format("tensor '{}' holds {}, expected {}", at->first,
                                     shape_text({found[0], found[1]}),
                                     shape_text({slot.out, slot.in})));
    }
}

HfModel open_hf(const std::string& path) {
  const std::string config = path + "/config.json";
  HfModel out{
      read_config(config), is_onebit_config(config), code_group(config), read_hf_weights(path), {}};
  if (out.onebit && out.code_group)
    throw_error(ErrorKind::format,
                "{}: quantization_config stands beside the model_type of a OneBit checkpoint, "
                "expected one of the two",
                config);
  Safetensors& file = out.file;
  const DecoderSpec spec = decoder_spec(out.config);
  add_prefixes(file, spec);
  drop_tied_head(file, spec, path);
  std::erase_if(file.tensors, [&](const auto& item) {
    return is_harmless_extra(item.first) ||
           (out.onebit && item.first.starts_with("teacher_model."));
  });
  out.tensors = tensors_of(out, spec, path);

  Problems problems;
  std::map<std::string, Tensor> left = file.tensors;
  for (const HfTensor& tensor : out.tensors) {
    const ExpectedWeight& weight = tensor.in_file;
    const auto at = left.find(weight.name);
    if (at == left.end()) {
      problems.push_back(missing(weight.name, weight.shape));
      continue;
    }
    check_shape(weight.name, at->second.shape(), weight.shape, problems);
    check_dtype(tensor, at->second.dtype(), file.int8.contains(weight.name), problems);
    left.erase(at);
  }
  for (const auto& [name, tensor] : left) problems.push_back(unknown(name, tensor.shape()));
  if (out.code_group) check_recorded_shapes(out, spec, problems);
  throw_problems(path, problems);
  return out;
}

// Of linears in the compressed-tensors layout the layers of signs and scales; where a code is no
// sign, or a scale is not F16, the weights.
void unpack_codes(const DecoderSpec& spec, int64_t group, const ImportOptions& options,
                  ImportedModel& out) {
  using namespace compressed_layout;
  const auto take = [&](const std::string& name) { return out.weights.extract(name).mapped(); };
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots) {
      if (slot.is_norm()) continue;
      const Tensor codes = take(slot.hf + kCodes), scale = take(slot.hf + kScale);
      out.weights.erase(slot.hf + kShape);
      const Tensor signs = signs_of_codes(codes, slot.in);
      if (signs.defined() && scale.dtype() == DType::f16) {
        out.weights[slot.hf + ".sign"] = signs;
        out.weights[slot.hf + ".out_scale"] = scale;
        out.forms[slot.hf] =
            group == kWholeRow ? "onebit row" : fmt::format("onebit group {}", group);
        continue;
      }
      const std::string name = slot.hf + ".weight";
      put_weight(weights_of_codes(codes, scale.to(DType::f32), slot.in),
                 {name, "", {slot.out, slot.in}, ParamRole::weight}, options, name, out);
    }
}

ImportedModel import_hf(const std::string& path, const ImportOptions& options) {
  HfModel model = open_hf(path);
  ImportedModel out{.path = path, .config = std::move(model.config)};
  for (const auto& [spec, name, bits] : model.tensors) {
    const Tensor& stored = model.file.tensors.at(spec.name);
    if (bits)
      out.weights.emplace(name, stored);
    else
      put_weight(stored, spec, options, name, out);
  }
  if (model.onebit)
    for (const BlockSpec& block : decoder_spec(out.config).blocks)
      for (const Slot& slot : block.slots)
        if (!slot.is_norm()) out.forms[slot.hf] = onebit_layout::kForm;
  if (model.code_group) unpack_codes(decoder_spec(out.config), *model.code_group, options, out);
  out.sha256 = digest_of(model.file.files);
  for (const auto& part : model.file.files) part->expect_unchanged();
  return out;
}

// --- GGUF --------------------------------------------------------------------------------------

struct GgufModel {
  ModelConfig config;
  GgufFile file;
};

// The file of a model whose tensors fit its configuration.
GgufModel open_gguf(const std::string& path) {
  GgufFile file = GgufFile::open(path);
  ModelConfig config = read_gguf_config(file);
  Problems problems;
  std::map<std::string, const GgufTensor*> left;
  for (const GgufTensor& tensor : file.tensors())
    if (!is_harmless_extra(tensor.name)) left.emplace(tensor.name, &tensor);
  for (const ExpectedWeight& spec : expected_weights(decoder_spec(config))) {
    const auto at = left.find(spec.gguf_name);
    if (at == left.end()) {
      problems.push_back(missing(spec.gguf_name, spec.shape));
      continue;
    }
    check_shape(spec.gguf_name, at->second->shape, spec.shape, problems);
    if (!at->second->type->dequantize)
      problems.push_back(fmt::format("tensor '{}' is of type {}, which is not supported",
                                     spec.gguf_name, at->second->type_name));
    left.erase(at);
  }
  for (const auto& [name, tensor] : left) problems.push_back(unknown(name, tensor->shape));
  throw_problems(path, problems);
  return {std::move(config), std::move(file)};
}

ImportedModel import_gguf(const std::string& path, const ImportOptions& options) {
  const GgufModel model = open_gguf(path);
  const GgufFile& file = model.file;
  ImportedModel out{.path = path, .config = model.config};
  const bool paired = file.metadata().get_string("general.architecture") == "llama";
  for (const ExpectedWeight& spec : expected_weights(decoder_spec(out.config))) {
    const GgufTensor& entry = *file.find(spec.gguf_name);
    Tensor stored = file.read(entry);
    if (entry.type->quantized && options.dtype != WeightDtype::f32) stored = stored.to(DType::f16);
    if (paired && spec.rotary_heads)
      stored = rotary_rows(stored, spec.rotary_heads, RotaryOrder::halves);
    if (spec.gguf_offset != 0) stored = shifted(stored, -spec.gguf_offset);
    put_weight(stored, spec, options, spec.name, out);
  }
  out.sha256 = digest_of({file.file()});
  file.file()->expect_unchanged();
  return out;
}

// Whether the model at `path` is a directory; throws when it is neither that nor a GGUF file.
bool is_hf_directory(const std::string& path) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::directory || kind == FileKind::gguf) return kind == FileKind::directory;
  if (kind == FileKind::pickle)
    throw_error(ErrorKind::format,
                "{}: pickled weights can run code and are not read: convert them to safetensors",
                path);
  throw_error(ErrorKind::format,
              "{}: is no model, but {}: expected a GGUF file or a directory with config.json and "
              "model.safetensors",
              path, file_kind_name(kind));
}

}  // namespace

ImportedModel import_model(const std::string& path, const ImportOptions& options) {
  ImportedModel out = is_hf_directory(path) ? import_hf(path, options) : import_gguf(path, options);
  out.parameters = parameter_count(decoder_spec(out.config));
  return out;
}

std::string hf_weights_file(const std::string& directory) {
  const std::string whole = directory + "/model.safetensors";
  const std::string index = whole + ".index.json";
  if (exists_at(whole)) return whole;
  if (exists_at(index)) return index;
  if (exists_at(directory + "/pytorch_model.bin") ||
      exists_at(directory + "/pytorch_model.bin.index.json"))
    throw_error(ErrorKind::format,
                "{}: holds pickled weights (pytorch_model.bin), which can run code and are not "
                "read: convert them to model.safetensors first",
                directory);
  throw_error(ErrorKind::format,
              "{}: holds neither model.safetensors nor model.safetensors.index.json", directory);
}

Tensor keep_matrix(const Tensor& stored, const ImportOptions& options, int64_t& changed,
                   int64_t& not_f16) {
  Tensor value = stored;
  if (options.dtype == WeightDtype::f16) value = stored.to(DType::f16);
  if (options.dtype == WeightDtype::bf16) value = stored.to(DType::bf16);
  changed += count_changed(stored, value);
  if (options.widen || options.dtype == WeightDtype::f32) return value.to(DType::f32);
  const Tensor half = value.to(DType::f16);
  if (count_changed(value, half) == 0) return half;
  ++not_f16;
  return value.to(DType::f32);
}

ImportOutline read_import_outline(const std::string& path) {
  ImportOutline out;
  if (is_hf_directory(path)) {
    const HfModel model = open_hf(path);
    for (const auto& [spec, name, bits] : model.tensors)
      if (spec.shape.size() == 2 && !bits)
        out.stored_as_f16 &= model.file.tensors.at(spec.name).dtype() == DType::f16;
    out.config = model.config;
    out.dense = !model.onebit && !model.code_group;
  } else {
    const GgufModel model = open_gguf(path);
    for (const GgufTensor& tensor : model.file.tensors())
      if (tensor.shape.size() == 2)
        out.stored_as_f16 &= tensor.type->quantized || std::string_view(tensor.type->name) == "F16";
    out.config = model.config;
  }
  return out;
}

}  // namespace halftone
