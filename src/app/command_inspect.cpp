#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/json_numbers.h"
#include "halftone/text/text_statistics.h"
#include "inspection.h"
#include "text_inspection.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

void print_facts(const Inspection& found, const TokenizerFacts& tokenizer) {
  const auto line = [](const char* name, const std::string& value) {
    if (!value.empty()) print("{:<13} {}\n", name, printable(value));
  };
  line("format", found.format);
  line("architecture", found.architecture);
  line("tokenizer", tokenizer.kind);
  std::vector<std::string> ends;
  for (const auto& [id, text] : tokenizer.end_tokens)
    ends.push_back(fmt::format("{}{}{}", id, text.empty() ? "" : " ", text));
  line("end tokens", fmt::format("{}", fmt::join(ends, ", ")));
  line("method", found.method);
  line("checkpoint", found.kind + (found.step.empty() ? "" : ", step " + found.step));
}

void print_plain(const Inspection& found, const TokenizerFacts& tokenizer, const ModelFacts& model,
                 const std::string& digest) {
  int64_t numbers = 0;
  size_t bytes = 0;
  for (const StoredTensor& tensor : found.stored.tensors) {
    numbers += numel(tensor.shape);
    bytes += tensor.bytes.size();
    print("{:60} {:8} {}\n", printable(tensor.name), printable(tensor.dtype),
          shape_text(tensor.shape));
  }
  print_facts(found, tokenizer);
  print("{} tensors, {} numbers, {:.1f} MB", found.stored.tensors.size(), numbers,
        static_cast<double>(bytes) / 1e6);
  if (const auto& f = model.footprint)
    print(
        "; {} parameters, {} of them quantised\n"
        "bits a weight: paper {:.4f}, linear {:.4f}, file {:.3f}\n",
        f->parameters, f->quantised_parameters, f->paper_bits, f->linear_bits, f->file_bits);
  else
    print("\ncannot be imported: {}\n", model.obstacle);
  print("digest {}\n", digest);
}

std::string inspection_json(const std::string& path, const Inspection& found,
                            const std::string& digest) {
  const TokenizerFacts tokenizer = inspect_tokenizer(found);
  const ModelFacts model = inspect_model(path, found);
  Json out{{"path", path}, {"format", found.format}};
  const auto put = [&](const char* key, const std::string& value) {
    if (!value.empty()) out[key] = value;
  };
  put("architecture", found.architecture);
  put("tokenizer", tokenizer.kind);
  out["end_tokens"] = Json::array();
  for (const auto& [id, text] : tokenizer.end_tokens)
    out["end_tokens"].push_back({{"id", id}, {"text", text}});
  put("method", found.method);
  put("checkpoint", found.kind);
  put("step", found.step);
  out["digest"] = digest;
  if (const auto& f = model.footprint) {
    out["parameters"] = f->parameters;
    out["quantised_parameters"] = f->quantised_parameters;
    out["bits"] = {{"paper", f->paper_bits}, {"linear", f->linear_bits}, {"file", f->file_bits}};
  } else {
    out["obstacle"] = model.obstacle;
  }
  out["bytes"] = found.stored.file_bytes;
  out["tensors"] = Json::array();
  for (const StoredTensor& tensor : found.stored.tensors)
    out["tensors"].push_back({{"name", tensor.name},
                              {"dtype", tensor.dtype},
                              {"shape", tensor.shape},
                              {"bytes", tensor.bytes.size()}});
  return json_text(std::move(out), 2);
}

// An index of several files, or what should be a model and is none, is no text to be counted.
bool names_model(const std::string& path) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{".json", ".safetensors", ".gguf", ".h5"},
      [&](std::string_view suffix) { return path.ends_with(suffix); });
}

}  // namespace

int inspect_command(const std::string& path, const std::string& tokenizer, bool digest_alone,
                    bool json) {
  if (!names_model(path) && is_text_file(path))
    return inspect_text(path, tokenizer, digest_alone, json);
  if (!tokenizer.empty())
    throw_error(ErrorKind::recipe, "--tokenizer: {} is {}, a text or a token file expected", path,
                file_kind_name(file_kind(path)));
  const Inspection found = inspect_path(path);
  const std::string digest = tensors_digest(found.stored);
  if (digest_alone && json)
    print("{}\n", json_text({{"path", path}, {"digest", digest}}, 2));
  else if (digest_alone)
    print("{}\n", digest);
  else if (json)
    print("{}\n", inspection_json(path, found, digest));
  else
    print_plain(found, inspect_tokenizer(found), inspect_model(path, found), digest);
  return 0;
}

}  // namespace halftone
