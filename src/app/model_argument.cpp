#include "app/model_argument.h"
#include "app/console.h"

#include <fmt/format.h>

namespace halftone {

LoadedModel load_model_argument(const std::string& path, const ImportOptions& options) {
  LoadedModel model = load_model(path, options);
  for (const std::string& note : model.notes) say("{}\n", note);
  return model;
}

}  // namespace halftone
