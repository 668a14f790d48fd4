// The one place that reads what a model is beside its weights, and the one that writes it.
#include "halftone/model/companions.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/file_kind.h"
#include "halftone/text/tokenizer_files.h"

namespace halftone {
namespace {

constexpr const char* kGeneration = "generation_config.json";

// What transformers takes from a configuration where the model has no generation settings.
std::string generation_json(const ModelConfig& config) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  if (config.bos_token_id) out["bos_token_id"] = *config.bos_token_id;
  if (config.eos_token_ids.size() == 1) out["eos_token_id"] = config.eos_token_ids[0];
  if (config.eos_token_ids.size() > 1) out["eos_token_id"] = config.eos_token_ids;
  return out.empty() ? "" : out.dump(2) + "\n";
}

}  // namespace

Companions read_companions(const std::string& home, const ModelConfig& config) {
  Companions out{tokenizer_files(home)};
  if (!out.files.contains(kGeneration))
    if (std::string made = generation_json(config); !made.empty())
      out.files[kGeneration] = std::move(made);
  return out;
}

void write_companions(const Companions& companions, const std::string& directory, bool replace) {
  for (const auto& [name, bytes] : companions.files) {
    const std::filesystem::path path = std::filesystem::path(directory) / name;
    if (!replace && exists_at(path)) continue;
    std::filesystem::create_directories(path.parent_path());
    write_text_durably(path.string(), bytes);
  }
}

std::unique_ptr<Tokenizer> load_model_tokenizer(const std::string& home,
                                                const ModelConfig& config) {
  std::unique_ptr<Tokenizer> out = load_tokenizer(home);
  const int64_t beyond = out->vocab_size() - config.vocab_size;
  const bool padding = beyond == 1 && out->special(static_cast<int32_t>(config.vocab_size));
  if (beyond > 0 && !padding)
    throw_error(ErrorKind::format,
                "{}: the tokenizer has {} tokens, but the model's embedding {} rows, at least as "
                "many expected: were tokens added without resize_token_embeddings?",
                home, out->vocab_size(), config.vocab_size);
  return out;
}

void require_rows(std::span<const int32_t> ids, const ModelConfig& config,
                  const std::string& what) {
  for (const int32_t id : ids)
    if (id >= config.vocab_size)
      throw_error(ErrorKind::format, "{}: holds token {}, but the model's embedding {} rows", what,
                  id, config.vocab_size);
}

}  // namespace halftone
