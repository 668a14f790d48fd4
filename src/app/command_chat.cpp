// A conversation in the terminal: the model's own template, its answers as they come.
#include <iostream>

#include "app/chat_prompt.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/evaluation.h"
#include "app/interrupt.h"
#include "app/model_argument.h"
#include "halftone/base/error.h"
#include "halftone/tensor/device.h"

namespace halftone {
namespace {

// The next line of the input; false at its end.
bool read_message(std::string& line) {
  say_text("> ");
  if (!std::getline(std::cin, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  return !line.empty() && line != "/exit";
}

}  // namespace

int chat_command(const TalkOptions& options) {
  const Device device = use_device(options.device);
  LoadedModel model = load_model_argument(options.model, {.check_seal = false});
  take_inputs(model, options.inputs, device);
  const ChatPrompt prompt(model);
  check_context(model.decoder.spec, options.context, "--context");
  move_to_evaluate(model.decoder, device);
  Generator generator(model, options.context);
  const auto beginning = [&] {
    return options.system.empty() ? std::vector<ChatMessage>()
                                  : std::vector<ChatMessage>{{"system", options.system}};
  };
  std::vector<ChatMessage> conversation = beginning();
  SamplingOptions sampling = options.sampling;
  for (std::string line; read_message(line);) {
    if (line == "/reset") {
      conversation = beginning();
      continue;
    }
    conversation.push_back({"user", line});
    const std::vector<int32_t> ids = prompt.ids(conversation, generator.tokenizer());
    const int64_t room = options.context - static_cast<int64_t>(ids.size());
    if (room < 1) {
      say("the conversation has {} tokens, --context {}: /reset begins anew\n", ids.size(),
          options.context);
      conversation.pop_back();
      continue;
    }
    sampling.tokens = std::min(options.sampling.tokens, room);
    const Generated answer = generator.run(ids, sampling, [](std::string_view text) {
      print_text(text);
      flush_results();
    });
    print_text("\n");
    flush_results();
    ++sampling.seed;
    conversation.push_back({"assistant", answer.text});
  }
  return 0;
}

}  // namespace halftone
