// The families that are read, and what follows from a family's spec.
#include <stdexcept>

#include "family.h"
#include "halftone/base/error.h"
#include "halftone/model/spec.h"
#include "model/config_checks.h"

namespace halftone {

std::span<const Family* const> families() {
  static constexpr const Family* kFamilies[] = {&kLlama, &kMistral, &kQwen2,
                                                &kQwen3, &kOpt,     &kGemma3};
  return kFamilies;
}

const Family& family_of(const ModelConfig& config) {
  for (const Family* family : families())
    if (config.architecture == family->model_type) return *family;
  throw std::invalid_argument("family_of: architecture '" + config.architecture + "'");
}

std::string supported_architectures() {
  std::string out;
  for (const Family* family : families())
    out +=
        fmt::format("{}{} ({})", out.empty() ? "" : ", ", family->architecture, family->model_type);
  return out;
}

bool needs_bos_in_windows(const ModelConfig& config) {
  return family_of(config).needs_bos;
}

DecoderSpec decoder_spec(const ModelConfig& config) {
  return family_of(config).spec(config);
}

}  // namespace halftone
