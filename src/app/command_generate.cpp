// A prompt, or one message of a chat, continued.
#include <nlohmann/json.hpp>

#include "app/chat_prompt.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/evaluation.h"
#include "app/generation.h"
#include "app/interrupt.h"
#include "app/model_argument.h"
#include "halftone/base/error.h"
#include "halftone/model/companions.h"
#include "halftone/tensor/device.h"

namespace halftone {
namespace {

void print_object(const GenerateOptions& options, int64_t prompt_tokens, const Generated& out) {
  nlohmann::ordered_json json;
  json["prompt"] = options.prompt;
  json["text"] = out.text;
  json["ids"] = out.ids;
  json["prompt_tokens"] = prompt_tokens;
  json["prompt_tokens_per_second"] = out.read_rate();
  json["tokens_per_second"] = out.rate();
  json["ended"] = out.ended;
  print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

int generate_command(const GenerateOptions& options) {
  const Device device = use_device(options.device);
  LoadedModel model = load_model_argument(options.model, {.check_seal = false});
  take_inputs(model, options.inputs, device);
  std::unique_ptr<Tokenizer> tokenizer = load_model_tokenizer(model.home, model.config);
  const std::vector<int32_t> ids =
      options.chat ? ChatPrompt(model).ids({{"user", options.prompt}}, *tokenizer)
                   : tokenizer->encode(options.prompt);
  if (ids.empty()) throw_error(ErrorKind::recipe, "--prompt: empty, at least one token expected");
  require_rows(ids, model.config, "--prompt");
  move_to_evaluate(model.decoder, device);
  Generator generator(model, std::move(tokenizer),
                      static_cast<int64_t>(ids.size()) + options.sampling.tokens);
  catch_interrupts();
  if (!options.json && !options.chat) print_text(options.prompt);
  const Generated out = generator.run(ids, options.sampling, [&](std::string_view text) {
    if (options.json) return;
    print_text(text);
    flush_results();
  });
  if (options.json)
    print_object(options, static_cast<int64_t>(ids.size()), out);
  else
    print_text("\n");
  if (interrupted()) throw Interrupted{};
  return 0;
}

}  // namespace halftone
