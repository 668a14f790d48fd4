#include "halftone/eval/settings.h"

#include <stdexcept>

namespace halftone {

const char* protocol_name(Protocol protocol) {
  return protocol == Protocol::hf ? "hf" : "llamacpp";
}

const char* bos_name(BosPlace bos) {
  switch (bos) {
    case BosPlace::automatic:
      return "auto";
    case BosPlace::document:
      return "document";
    case BosPlace::window:
      return "window";
    case BosPlace::none:
      return "none";
  }
  throw std::invalid_argument("bos_name: no place");
}

BosPlace bos_place(const EvalSettings& s, bool model_needs_it) {
  if (s.bos != BosPlace::automatic) return s.bos;
  return s.protocol == Protocol::llamacpp || model_needs_it ? BosPlace::window : BosPlace::document;
}

void fields(FieldVisitor& v, EvalSettings& s) {
  v.path("text", s.text, "text whose perplexity is measured");
  v.field("context", s.context, {2, int64_t{1} << 24}, "tokens of a window");
  choice(v, "protocol", s.protocol,
         {{protocol_name(Protocol::hf), Protocol::hf},
          {protocol_name(Protocol::llamacpp), Protocol::llamacpp}},
         "which tokens of a window are scored");
  v.field("max_windows", s.max_windows, {0, int64_t{1} << 40}, "windows measured; 0 = all");
  choice(v, "bos", s.bos,
         {{bos_name(BosPlace::automatic), BosPlace::automatic},
          {bos_name(BosPlace::document), BosPlace::document},
          {bos_name(BosPlace::window), BosPlace::window},
          {bos_name(BosPlace::none), BosPlace::none}},
         "where the text's first token (BOS) stands: auto = window with protocol llamacpp and for "
         "Gemma 3, else document");
  choice(v, "join", s.join, {{"none", Join::none}, {"wikitext", Join::wikitext}},
         "how the lines of the text become one string");
}

int64_t window_predictions(const EvalSettings& s) {
  return s.context - 1 - (s.protocol == Protocol::llamacpp ? s.context / 2 : 0);
}

}  // namespace halftone
