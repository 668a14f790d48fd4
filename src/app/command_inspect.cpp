#include <filesystem>
#include <nlohmann/json.hpp>

#include "halftone/app/commands.h"
#include "halftone/app/console.h"
#include "halftone/app/run_directory.h"
#include "halftone/base/error.h"
#include "halftone/eval/footprint.h"
#include "halftone/model/load.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

// The tensors of a file, a model directory, or a run's newest whole checkpoint.
std::map<std::string, Tensor> tensors_of(const std::string& path) {
  if (path.ends_with(".h5")) return read_checkpoint_file(path).tensors;
  if (fs::is_directory(path) && !fs::exists(path + "/config.json")) {
    std::vector<std::string> damaged;
    auto content = newest_checkpoint(path, damaged);
    for (const std::string& what : damaged) say("skipped a damaged checkpoint: {}\n", what);
    if (content) return std::move(content->content.tensors);
    throw_error(ErrorKind::format,
                "{}: neither a model directory (no config.json) nor a run with a checkpoint", path);
  }
  LoadedModel model = load_model(path);
  return weights_of(model.decoder);
}

}  // namespace

int inspect_command(const std::string& path, bool digest, bool json) {
  const std::map<std::string, Tensor> tensors = tensors_of(path);
  const std::string sha256 = tensors_digest(tensors);
  if (digest && !json) {
    print("{}\n", sha256);
    return 0;
  }
  int64_t numbers = 0, bytes = 0;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [name, tensor] : tensors) {
    numbers += tensor.numel();
    bytes += static_cast<int64_t>(tensor.bytes());
    if (!digest)
      list.push_back(
          {{"name", name}, {"dtype", dtype_name(tensor.dtype())}, {"shape", tensor.shape()}});
    if (!json)
      print("{:60} {:5} {}\n", name, dtype_name(tensor.dtype()), shape_text(tensor.shape()));
  }
  LoadedModel model = load_model(path);
  const Footprint f = footprint(model.decoder, model.file_bytes);
  if (json) {
    nlohmann::ordered_json out{
        {"path", path},
        {"digest", sha256},
        {"parameters", f.parameters},
        {"quantised_parameters", f.quantised_parameters},
        {"bits", {{"paper", f.paper_bits}, {"linear", f.linear_bits}, {"file", f.file_bits}}},
        {"bytes", model.file_bytes}};
    if (!digest) out["tensors"] = list;
    print("{}\n", out.dump(2));
    return 0;
  }
  print("{} tensors, {} numbers, {:.1f} MB; {} parameters, {} of them quantised\n", tensors.size(),
        numbers, bytes / 1e6, f.parameters, f.quantised_parameters);
  print("bits a weight: paper {:.4f}, linear {:.4f}, file {:.3f}\ndigest {}\n", f.paper_bits,
        f.linear_bits, f.file_bits, sha256);
  return 0;
}

}  // namespace halftone
