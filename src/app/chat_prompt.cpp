// The template of the model's companions, and what it makes of messages.
#include "app/chat_prompt.h"

#include "halftone/base/error.h"
#include "halftone/model/companions.h"

namespace halftone {
namespace {

ChatTemplate template_of(const LoadedModel& model, const Companions& companions) {
  const auto text = chat_template_text(companions.files);
  if (!text)
    throw_error(ErrorKind::recipe, "{}: the model has no chat template: it can continue a prompt",
                model.path);
  return ChatTemplate::of(*text, model.path);
}

}  // namespace

ChatPrompt::ChatPrompt(const LoadedModel& model)
    : ChatPrompt(model, read_companions(model.home, model.config)) {}

ChatPrompt::ChatPrompt(const LoadedModel& model, const Companions& companions)
    : template_(template_of(model, companions)), options_(chat_options(companions.files)) {}

std::vector<int32_t> ChatPrompt::ids(const std::vector<ChatMessage>& messages,
                                     const Tokenizer& tokenizer) const {
  // The template writes the model's BOS itself.
  return tokenizer.encode(template_.apply(messages, options_),
                          {.parse_special = true, .add_special_tokens = false});
}

}  // namespace halftone
