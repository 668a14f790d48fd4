#include "app/commands.h"
#include "app/console.h"
#include "app/model_argument.h"
#include "app/progress.h"
#include "app/text_tokens.h"
#include "halftone/base/number_text.h"
#include "halftone/eval/result.h"
#include "halftone/model/companions.h"

namespace halftone {

int eval_command(const std::string& path, const EvalSettings& settings, bool json, bool quiet) {
  LoadedModel model = load_model_argument(path, {.widen = true});
  const std::unique_ptr<Tokenizer> tokenizer = load_model_tokenizer(model.home, model.config);
  const TextTokens text = read_text_tokens(settings, *tokenizer);
  require_rows(text.tokens, model.config, settings.text);
  const auto tokens = static_cast<int64_t>(text.tokens.size());
  Progress progress("eval", evaluation_windows(tokens, settings), quiet);
  const Evaluation result =
      evaluate(model.decoder, nullptr, text.tokens, settings, text.window_bos,
               [&](int64_t done, int64_t, double perplexity) {
                 progress.update(done, "perplexity " + fixed_text(perplexity, 4));
               });
  progress.finish();
  if (json)
    print("{}\n", evaluation_json(result, settings, tokens, text.sha256));
  else
    print("perplexity {}  ({} windows of {} tokens of {}, protocol {})\n",
          fixed_text(result.perplexity, 4), result.windows, settings.context, tokens,
          settings.protocol == Protocol::hf ? "hf" : "llamacpp");
  return 0;
}

}  // namespace halftone
