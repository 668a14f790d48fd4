#include "app/model_argument.h"

#include <fmt/format.h>

#include <filesystem>

#include "app/console.h"
#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"

namespace halftone {

LoadedModel load_model_argument(const std::string& path, const ImportOptions& options) {
  LoadedModel model = load_model(path, options);
  for (const std::string& note : model.notes) say("{}\n", note);
  return model;
}

std::unique_ptr<Tokenizer> load_tokenizer_argument(const std::string& path) {
  if (file_kind(path) != FileKind::hdf5) return load_tokenizer(path);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return load_tokenizer(folder.empty() ? "." : folder.string());
}

void take_inputs(LoadedModel& model, SignInputs inputs, Device device) {
  if (inputs != SignInputs::f32 && device != Device::cpu)
    throw_error(ErrorKind::recipe, "--activations {}: found beside a GPU, --device cpu expected",
                sign_inputs_name(inputs));
  bool found = inputs == SignInputs::f32;
  model.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    if (auto* packed = dynamic_cast<PackedLinear*>(linear.get())) {
      packed->take_inputs(inputs);
      found = true;
    }
  });
  if (!found)
    throw_error(ErrorKind::recipe,
                "--activations {}: '{}' has no linear of packed signs, expected a 1-bit student, "
                "packed or exported",
                sign_inputs_name(inputs), model.path);
}

}  // namespace halftone
