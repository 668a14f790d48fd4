#include "halftone/eval/settings.h"

namespace halftone {

void fields(FieldVisitor& v, EvalSettings& s) {
  v.path("text", s.text, "text whose perplexity is measured");
  v.field("context", s.context, {2, int64_t{1} << 24}, "tokens of a window");
  choice(v, "protocol", s.protocol, {{"hf", Protocol::hf}, {"llamacpp", Protocol::llamacpp}},
         "which tokens of a window are scored");
  v.field("max_windows", s.max_windows, {0, int64_t{1} << 40}, "windows measured; 0 = all");
  choice(v, "join", s.join, {{"none", Join::none}, {"wikitext", Join::wikitext}},
         "how the lines of the text become one string");
}

int64_t window_predictions(const EvalSettings& s) {
  return s.context - 1 - (s.protocol == Protocol::llamacpp ? s.context / 2 : 0);
}

}  // namespace halftone
