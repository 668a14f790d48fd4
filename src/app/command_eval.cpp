#include "app/commands.h"
#include "app/console.h"
#include "app/model_argument.h"
#include "app/progress.h"
#include "app/text_tokens.h"
#include "halftone/base/number_text.h"
#include "halftone/eval/result.h"
#include "halftone/model/companions.h"

namespace halftone {

int eval_command(const std::string& path, const EvalSettings& settings, SignInputs inputs,
                 bool json, bool quiet) {
  LoadedModel model = load_model_argument(path, {.widen = true});
  take_inputs(model, inputs);
  const std::unique_ptr<Tokenizer> tokenizer = load_model_tokenizer(model.home, model.config);
  const HeldOutText held_out = read_held_out(settings, *tokenizer, model.config);
  check_context(model.decoder.spec, settings.context, "--context");
  Progress progress("eval", evaluation_windows(held_out.text, settings), quiet);
  const Evaluation result =
      evaluate(model.decoder, nullptr, held_out.text, held_out.settings,
               [&](int64_t done, int64_t, double perplexity) {
                 progress.update(done, "perplexity " + fixed_text(perplexity, 4));
               });
  progress.finish();
  if (json)
    print("{}\n", evaluation_json(result, held_out.settings, held_out.tokens(), held_out.sha256));
  else
    print("perplexity {}  ({} windows of {} tokens of {}, BOS {}, protocol {})\n",
          fixed_text(result.perplexity, 4), result.windows, settings.context, held_out.tokens(),
          bos_name(held_out.settings.bos), protocol_name(settings.protocol));
  return 0;
}

}  // namespace halftone
