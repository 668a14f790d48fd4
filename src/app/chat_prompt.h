// A conversation as the tokens that a model was trained to read.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/model/companions.h"
#include "halftone/model/load.h"
#include "halftone/text/chat_template.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

class ChatPrompt {
 public:
  // Of the model's own chat template. Throws Error(recipe) where it has none, or one that is not
  // known.
  explicit ChatPrompt(const LoadedModel& model);
  // Up to where the assistant answers.
  std::vector<int32_t> ids(const std::vector<ChatMessage>& messages,
                           const Tokenizer& tokenizer) const;

 private:
  ChatPrompt(const LoadedModel& model, const Companions& companions);

  ChatTemplate template_;
  ChatOptions options_;
};

}  // namespace halftone
