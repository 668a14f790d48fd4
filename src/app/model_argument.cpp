#include "app/model_argument.h"
#include "app/console.h"

#include <fmt/format.h>

#include "halftone/base/error.h"

namespace halftone {

LoadedModel load_model_argument(const std::string& path, const ImportOptions& options) {
  LoadedModel model = load_model(path, options);
  for (const std::string& note : model.notes) say("{}\n", note);
  return model;
}

void take_inputs(LoadedModel& model, SignInputs inputs) {
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
