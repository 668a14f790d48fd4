#include <algorithm>

#include "app/commands.h"
#include "app/console.h"
#include "app/model_argument.h"
#include "halftone/base/error.h"
#include "halftone/model/companions.h"
#include "halftone/ops/sample.h"
#include "halftone/text/tokenizer_files.h"
#include "halftone/train/generate_data.h"

namespace halftone {

int generate_command(const GenerateOptions& options) {
  LoadedModel model = load_model_argument(options.model, {.widen = true});
  const std::unique_ptr<Tokenizer> tokenizer = load_model_tokenizer(model.home, model.config);
  std::vector<int32_t> ids = tokenizer->encode(options.prompt);
  if (ids.empty()) throw_error(ErrorKind::recipe, "--prompt: empty, at least one token expected");
  require_rows(ids, model.config, "--prompt");
  const int64_t capacity = static_cast<int64_t>(ids.size()) + options.tokens;
  KeyValueCache cache = model.decoder.make_cache(1, capacity);
  Rng rng(static_cast<uint64_t>(options.seed), RngStream::generate);
  const SampleOptions sampling{options.top_k, generator_vocabulary(*tokenizer).known};
  const std::vector<int32_t> ends = end_tokens(model.home);
  print_text(options.prompt);
  for (int64_t i = 0; i < options.tokens; ++i) {
    Tape tape(Tape::Mode::no_grad);
    const Tensor hidden = model.decoder.hidden(tape, ids, 1, &cache).value();
    Tensor logits = model.decoder.logits(hidden.rows(hidden.dim(0) - 1, hidden.dim(0)));
    SampleDraw draw{.temperature = options.temperature};
    if (draw.temperature > 0) draw.uniform = rng.uniform();
    const int32_t next = sample_tokens(logits, sampling, {draw}).front();
    if (std::find(ends.begin(), ends.end(), next) != ends.end()) break;
    ids = {next};
    print_text(tokenizer->decode(ids));
    flush_results();
  }
  print_text("\n");
  return 0;
}

}  // namespace halftone
