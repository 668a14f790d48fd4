#include "halftone/eval/settings.h"

#include <filesystem>
#include <set>
#include <stdexcept>

#include "halftone/eval/tasks.h"

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

BosPlace bos_place(const TextSettings& s, bool model_needs_it) {
  if (s.bos != BosPlace::automatic) return s.bos;
  return s.protocol == Protocol::llamacpp || model_needs_it ? BosPlace::window : BosPlace::document;
}

namespace {

// How a text is measured, whatever the key of its path.
void measuring_fields(FieldVisitor& v, TextSettings& s) {
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

std::string name_of(const std::string& path) {
  std::filesystem::path file = std::filesystem::path(path).filename();
  if (file.extension() == ".gz") file = file.stem();
  return file.stem();
}

}  // namespace

void fields(FieldVisitor& v, TextSettings& s) {
  v.field("name", s.name, "in results; \"\" = its file's");
  v.path("path", s.text, "the text; required");
  measuring_fields(v, s);
}

void fields(FieldVisitor& v, EvalSettings& s) {
  if (s.texts.empty())
    v.path("text", s.text, "text whose perplexity is measured; of several: tables [[eval.text]]");
  measuring_fields(v, s);
  v.names("tasks", s.tasks, task_names(), "zero-shot tasks that are scored");
  v.path("tasks_dir", s.tasks_dir, "where their documents lie, <task>.jsonl or .jsonl.gz");
  v.field("task_limit", s.task_limit, {0, int64_t{1} << 40},
          "documents of each task that are scored, the first ones; 0 = all");
  tables(v, "text", s.texts, static_cast<const TextSettings&>(s));
}

std::vector<TextSettings> texts_of(const EvalSettings& s) {
  std::vector<TextSettings> out = s.texts;
  if (out.empty() && !s.text.empty()) out.push_back(s);
  for (TextSettings& text : out)
    if (text.name.empty()) text.name = name_of(text.text);
  return out;
}

std::string name_given_twice(const std::vector<TextSettings>& texts) {
  std::set<std::string> seen;
  for (const TextSettings& text : texts)
    if (!seen.insert(text.name).second) return text.name;
  return "";
}

int64_t window_predictions(const TextSettings& s) {
  return s.context - 1 - (s.protocol == Protocol::llamacpp ? s.context / 2 : 0);
}

}  // namespace halftone
