#include <filesystem>

#include "app/commands.h"
#include "app/console.h"
#include "app/model_argument.h"
#include "halftone/base/error.h"

namespace halftone {

int export_command(const ExportOptions& options) {
  std::error_code ignored;
  if (std::filesystem::equivalent(options.model, options.out, ignored))
    throw_error(ErrorKind::recipe, "--out: {} is the model itself, another directory is expected",
                options.out);
  LoadedModel model = load_model_argument(options.model, {.widen = true});
  const Companions companions = read_companions(model.home, model.config);
  const ExportSummary summary = export_hf(model, companions, options.dtype, options.out);
  if (summary.beyond_f16 > 0)
    say("{} tensors hold numbers beyond F16 and are written wider\n", summary.beyond_f16);
  print("{}: {} tensors, {} files beside them\n", options.out, summary.tensors,
        companions.files.size());
  return 0;
}

}  // namespace halftone
