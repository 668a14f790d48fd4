#include <fmt/format.h>

#include "halftone/app/commands.h"
#include "halftone/app/model_argument.h"
#include "halftone/app/progress.h"
#include "halftone/app/text_tokens.h"
#include "halftone/eval/result.h"

namespace halftone {

int eval_command(const std::string& path, const EvalSettings& settings, bool json, bool quiet) {
  LoadedModel model = load_model_argument(path, DType::f32);
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(model.tokenizer_path);
  const TextTokens text = read_text_tokens(settings, *tokenizer);
  const int64_t all = static_cast<int64_t>(text.tokens.size()) / settings.context;
  Progress progress("eval", settings.max_windows > 0 ? std::min(all, settings.max_windows) : all,
                    quiet);
  const Evaluation result =
      evaluate(model.decoder, nullptr, text.tokens, settings, text.window_bos,
               [&](int64_t done, int64_t, double perplexity) {
                 progress.update(done, fmt::format("perplexity {:.4f}", perplexity));
               });
  progress.finish();
  if (json)
    fmt::print("{}\n", evaluation_json(result, settings, static_cast<int64_t>(text.tokens.size()),
                                       text.sha256));
  else
    fmt::print("perplexity {:.4f}  ({} windows of {} tokens of {}, protocol {})\n",
               result.perplexity, result.windows, settings.context, text.tokens.size(),
               settings.protocol == Protocol::hf ? "hf" : "llamacpp");
  return 0;
}

}  // namespace halftone
