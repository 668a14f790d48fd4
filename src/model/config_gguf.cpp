// GGUF metadata: which family they are of, and what every family has.
#include "config_checks.h"
#include "config_gguf_parts.h"
#include "halftone/base/error.h"
#include "model/families/family.h"

namespace halftone {
namespace {

const Family& read_family(const GgufMetadata& metadata) {
  const std::string name = metadata.get_string("general.architecture");
  for (const Family* family : families())
    if (family->gguf && name == family->gguf) return *family;
  throw_error(ErrorKind::format,
              "{}: general.architecture is '{}', which is not supported, expected one of {}",
              metadata.path(), printable(name), supported_architectures());
}

// Writers put -1 in whichever integer type for a token that the model does not have.
std::optional<int64_t> read_token(const GgufMetadata& metadata, const char* key) {
  const int64_t id = metadata.get_int(key, -1);
  if (id < 0 || id > INT32_MAX) return {};
  return id;
}

void read_tokens(const GgufMetadata& metadata, ModelConfig& config) {
  config.bos_token_id = read_token(metadata, "tokenizer.ggml.bos_token_id");
  if (const auto eos = read_token(metadata, "tokenizer.ggml.eos_token_id"))
    config.eos_token_ids = {*eos};
  config.pad_token_id = read_token(metadata, "tokenizer.ggml.padding_token_id");
}

}  // namespace

ModelConfig read_gguf_config(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata();
  if (metadata.get_int("split.count", 1) > 1)
    throw_error(ErrorKind::format,
                "{}: split.count is {}, expected one file: merge the parts first", file.path(),
                metadata.get_int("split.count"));
  const Family& family = read_family(metadata);
  const GgufKeys keys(metadata, family.gguf);
  ModelConfig config;
  config.architecture = family.model_type;
  family.read_gguf(file, keys, config);
  read_tokens(metadata, config);
  check_gguf_keys(keys, config, family.gguf_keys);
  return config;
}

}  // namespace halftone
