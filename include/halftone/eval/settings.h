// Section [eval] of a recipe: what a model is measured on, and how.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/settings.h"

namespace halftone {

enum class Protocol {
  hf,        // windows of `context` tokens side by side, all tokens but the first scored
  llamacpp,  // as llama.cpp's perplexity: the second half of each window scored
};

// How rows of a text become one string.
enum class Join {
  none,      // the file as it is
  wikitext,  // as the WikiText data set is joined in the field's scripts
};

// Where the token stands that the model's tokenizer puts in front of texts (BOS).
enum class BosPlace {
  automatic,  // window with protocol llamacpp and for a model that needs one there, else document
  document,   // where the tokenizer puts it: at most once, in front of the whole text
  window,     // in front of each window
  none,
};

// Perplexity of one text.
struct TextSettings {
  std::string name;  // where there are several
  std::string text;  // its file
  int64_t context = 2048;
  Protocol protocol = Protocol::hf;
  int64_t max_windows = 0;  // 0: all
  BosPlace bos = BosPlace::automatic;
  Join join = Join::none;
};

// The texts are `text`, measured as the base says (none where it is empty), or the tables of
// `texts`, in which the base is what a key has that is left out.
struct EvalSettings : TextSettings {
  std::vector<TextSettings> texts;
  std::vector<std::string> tasks;  // of task_names()
  std::string tasks_dir;           // where their documents lie
  int64_t task_limit = 0;          // documents of each; 0: all
};

void fields(FieldVisitor& v, EvalSettings& s);

// All of them, each with a name: its own, or its file's without what is behind the last dot (and
// .gz).
std::vector<TextSettings> texts_of(const EvalSettings& s);

// The first name that two of them have; empty: none.
std::string name_given_twice(const std::vector<TextSettings>& texts);

// As a recipe has them.
const char* protocol_name(Protocol protocol);
const char* bos_name(BosPlace bos);

// What `automatic` stands for: `model_needs_it` in front of each window.
BosPlace bos_place(const TextSettings& s, bool model_needs_it);

// Predictions scored in one window: context - 1, less the first context / 2 with llamacpp. 0 for a
// context that is too small to score any.
int64_t window_predictions(const TextSettings& s);

}  // namespace halftone
