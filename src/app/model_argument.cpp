#include "halftone/app/model_argument.h"

#include <fmt/format.h>

namespace halftone {

LoadedModel load_model_argument(const std::string& path, DType linear_dtype) {
  std::vector<std::string> damaged;
  LoadedModel model = load_model(path, linear_dtype, &damaged);
  print_passed_over(damaged);
  return model;
}

void print_passed_over(const std::vector<std::string>& damaged_checkpoints) {
  for (const std::string& what : damaged_checkpoints)
    fmt::print(stderr, "skipped a damaged checkpoint: {}\n", what);
}

}  // namespace halftone
