#include "halftone/model/import.h"

#include <sys/stat.h>

#include <cstring>
#include <optional>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/base/threads.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/gguf.h"
#include "halftone/io/safetensors.h"
#include "halftone/model/weight_names.h"

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

int64_t count_non_finite(const Tensor& tensor) {
  const auto count = [&]<class T>(const T* data, T exponent) {
    return static_cast<int64_t>(
        parallel_sum(tensor.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
          int64_t n = 0;
          for (int64_t i = begin; i < end; ++i) n += (data[i] & exponent) == exponent;
          return static_cast<double>(n);
        }));
  };
  if (tensor.dtype() == DType::f16)
    return count(static_cast<const uint16_t*>(tensor.raw()), uint16_t{0x7c00});
  return count(static_cast<const uint32_t*>(tensor.raw()), uint32_t{0x7f800000});
}

bool is_real(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

// The tensor in the dtype that its kind is kept in; `stored` as the file holds it.
Tensor convert(const Tensor& stored, const ExpectedWeight& spec, DType linear_dtype,
               const std::string& path) {
  const DType dtype = spec.shape.size() == 2 ? linear_dtype : DType::f32;
  const Tensor out = stored.to(dtype);
  if (const int64_t n = count_non_finite(out))
    throw_error(ErrorKind::format,
                "{}: tensor '{}' holds {} numbers that are not finite as {} (of {}, stored as {})",
                path, spec.name, n, dtype_name(dtype), out.numel(), dtype_name(stored.dtype()));
  return out;
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

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

bool same_numbers(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// --- Hugging Face ------------------------------------------------------------------------------

Safetensors read_hf_weights(const std::string& directory) {
  const std::string whole = directory + "/model.safetensors";
  const std::string index = whole + ".index.json";
  if (exists(whole)) return read_safetensors(whole);
  if (exists(index)) return read_sharded_safetensors(index);
  if (exists(directory + "/pytorch_model.bin") ||
      exists(directory + "/pytorch_model.bin.index.json"))
    throw_error(ErrorKind::format,
                "{}: holds pickled weights (pytorch_model.bin), which can run code and are not "
                "read: convert them to model.safetensors first",
                directory);
  throw_error(ErrorKind::format,
              "{}: holds neither model.safetensors nor model.safetensors.index.json", directory);
}

// A tied model may hold its head a second time, as long as it is the embedding.
void drop_tied_head(Safetensors& file, const ModelConfig& config, const std::string& path) {
  const auto head = file.tensors.find("lm_head.weight");
  const auto embedding = file.tensors.find("model.embed_tokens.weight");
  if (!config.tie_word_embeddings || head == file.tensors.end()) return;
  if (embedding != file.tensors.end() && !same_numbers(head->second, embedding->second))
    throw_error(ErrorKind::format,
                "{}: tie_word_embeddings is true, but tensor 'lm_head.weight' differs from "
                "'model.embed_tokens.weight'",
                path);
  file.tensors.erase(head);
}

ImportedModel import_hf(const std::string& path, DType linear_dtype) {
  ImportedModel out;
  out.config = read_config(path + "/config.json");
  Safetensors file = read_hf_weights(path);
  drop_tied_head(file, out.config, path);
  std::erase_if(file.tensors, [](const auto& item) { return is_harmless_extra(item.first); });

  Problems problems;
  const std::vector<ExpectedWeight> specs = expected_weights(out.config);
  std::map<std::string, Tensor> left = file.tensors;
  for (const ExpectedWeight& spec : specs) {
    const auto at = left.find(spec.name);
    if (at == left.end()) {
      problems.push_back(missing(spec.name, spec.shape));
      continue;
    }
    check_shape(spec.name, at->second.shape(), spec.shape, problems);
    if (!is_real(at->second.dtype()))
      problems.push_back(fmt::format("tensor '{}' is {}, expected F32, F64, F16 or BF16", spec.name,
                                     dtype_name(at->second.dtype())));
    left.erase(at);
  }
  for (const auto& [name, tensor] : left) problems.push_back(unknown(name, tensor.shape()));
  throw_problems(path, problems);

  for (const ExpectedWeight& spec : specs)
    out.weights.emplace(spec.name, convert(file.tensors.at(spec.name), spec, linear_dtype, path));
  out.sha256 = digest_of(file.files);
  for (const auto& part : file.files) part->expect_unchanged();
  return out;
}

// --- GGUF --------------------------------------------------------------------------------------

// Rows of q and k back from pairs (2i, 2i + 1) to halves (i, head_dim/2 + i), head by head.
Tensor unpair_rows(const Tensor& paired, int64_t heads) {
  Tensor out = Tensor::uninitialized(paired.shape(), paired.dtype());
  const int64_t head_dim = paired.dim(0) / heads, half = head_dim / 2;
  const size_t row_bytes = paired.bytes() / static_cast<size_t>(paired.dim(0));
  const auto* from = static_cast<const uint8_t*>(paired.raw());
  auto* to = static_cast<uint8_t*>(out.raw());
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t i = 0; i < half; ++i)
      for (int64_t p = 0; p < 2; ++p)
        std::memcpy(to + static_cast<size_t>(head * head_dim + p * half + i) * row_bytes,
                    from + static_cast<size_t>(head * head_dim + 2 * i + p) * row_bytes, row_bytes);
  return out;
}

void check_gguf_tensors(const GgufFile& file, const std::vector<ExpectedWeight>& specs) {
  Problems problems;
  std::map<std::string, const GgufTensor*> left;
  for (const GgufTensor& tensor : file.tensors())
    if (!is_harmless_extra(tensor.name)) left.emplace(tensor.name, &tensor);
  for (const ExpectedWeight& spec : specs) {
    const auto at = left.find(spec.gguf_name);
    if (at == left.end()) {
      problems.push_back(missing(spec.gguf_name, spec.shape));
      continue;
    }
    check_shape(spec.gguf_name, at->second->shape, spec.shape, problems);
    if (!at->second->type->dequantize)
      problems.push_back(fmt::format("tensor '{}' is of type {}, which is not supported",
                                     spec.gguf_name, at->second->type->name));
    left.erase(at);
  }
  for (const auto& [name, tensor] : left) problems.push_back(unknown(name, tensor->shape));
  throw_problems(file.path(), problems);
}

ImportedModel import_gguf(const std::string& path, DType linear_dtype) {
  ImportedModel out;
  const GgufFile file = GgufFile::open(path);
  out.config = read_gguf_config(file);
  const std::vector<ExpectedWeight> specs = expected_weights(out.config);
  check_gguf_tensors(file, specs);
  const bool paired = file.metadata().get_string("general.architecture") == "llama";
  for (const ExpectedWeight& spec : specs) {
    const GgufTensor& entry = *file.find(spec.gguf_name);
    Tensor stored = file.read(entry);
    if (entry.type->quantized) stored = stored.to(DType::f16);
    if (paired && spec.rotary_heads) stored = unpair_rows(stored, spec.rotary_heads);
    out.weights.emplace(spec.name, convert(stored, spec, linear_dtype, path));
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

ImportedModel import_model(const std::string& path, DType linear_dtype) {
  require(linear_dtype == DType::f32 || linear_dtype == DType::f16,
          "import_model: linear_dtype is {}, expected F32 or F16", dtype_name(linear_dtype));
  ImportedModel out =
      is_hf_directory(path) ? import_hf(path, linear_dtype) : import_gguf(path, linear_dtype);
  out.path = path;
  for (const auto& [name, tensor] : out.weights) out.parameters += tensor.numel();
  return out;
}

ModelConfig read_model_config(const std::string& path) {
  if (is_hf_directory(path)) return read_config(path + "/config.json");
  return read_gguf_config(GgufFile::open(path));
}

}  // namespace halftone
