#include "halftone/eval/tasks.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/strict_json.h"
#include "halftone/text/documents.h"
#include "text/json_field.h"

namespace halftone {
namespace {

std::string task_file(const Task& task, const std::string& directory) {
  const std::string plain = fmt::format("{}/{}.jsonl", directory, task.name);
  if (exists_at(plain)) return plain;
  if (exists_at(plain + ".gz")) return plain + ".gz";
  throw_error(ErrorKind::format,
              "{}: does not exist, nor {}.gz; the documents of the task expected", plain, plain);
}

std::vector<std::string> texts(const JsonField& list, size_t least) {
  std::vector<std::string> out;
  for (const JsonField& item : list.items()) {
    out.push_back(item.text());
    if (out.back().empty()) item.wrong("a text that is not empty");
  }
  if (out.size() < least) list.wrong(fmt::format("at least {} texts", least));
  return out;
}

TaskDocument document_of(const Task& task, const JsonField& line) {
  TaskDocument out;
  if (line.has("contexts")) {
    const std::vector<std::string> contexts = texts(line.at("contexts"), 2),
                                   choices = texts(line.at("choices"), 1);
    if (choices.size() != 1) line.at("choices").wrong("one text beside several contexts");
    for (const std::string& context : contexts) out.requests.push_back({context, choices[0]});
  } else {
    const std::string context = line.at("context").text();
    for (const std::string& choice : texts(line.at("choices"), task.greedy ? 1 : 2))
      out.requests.push_back({context, choice});
  }
  if (task.greedy && out.requests.size() != 1)
    line.at("choices").wrong("one text, which is to be the likeliest");
  const auto last = static_cast<int64_t>(out.requests.size()) - 1;
  out.gold = static_cast<size_t>(line.at("gold").whole(0, last, "the index of a choice"));
  return out;
}

}  // namespace

const std::vector<Task>& zero_shot_tasks() {
  static const std::vector<Task> tasks{
      {.name = "winogrande", .normalised = false, .greedy = false, .onebit = true},
      {.name = "hellaswag", .normalised = true, .greedy = false, .onebit = true},
      {.name = "piqa", .normalised = true, .greedy = false, .onebit = true},
      {.name = "boolq", .normalised = false, .greedy = false, .onebit = true},
      {.name = "arc_easy", .normalised = true, .greedy = false, .onebit = true},
      {.name = "arc_challenge", .normalised = true, .greedy = false, .onebit = true},
      {.name = "openbookqa", .normalised = true, .greedy = false, .onebit = false},
      {.name = "lambada_openai", .normalised = false, .greedy = true, .onebit = false},
  };
  return tasks;
}

std::vector<std::string_view> task_names() {
  std::vector<std::string_view> out;
  for (const Task& task : zero_shot_tasks()) out.push_back(task.name);
  return out;
}

const Task& task_named(std::string_view name) {
  const auto found = std::ranges::find(zero_shot_tasks(), name, &Task::name);
  require(found != zero_shot_tasks().end(), "task_named: '{}'", name);
  return *found;
}

TaskDocuments read_task(const Task& task, const std::string& directory, int64_t limit) {
  const std::string path = task_file(task, directory), text = read_text(path);
  TaskDocuments out{.task = &task, .documents = {}, .in_file = 0, .sha256 = sha256_hex(text)};
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string where = fmt::format("{}:{}", path, ++out.in_file);
    const nlohmann::json parsed =
        parse_strict_json(std::string_view(text).substr(at, end - at), where);
    TaskDocument document = document_of(task, {parsed, where, ""});
    if (limit == 0 || out.in_file <= limit) out.documents.push_back(std::move(document));
    at = end + 1;
  }
  if (out.documents.empty())
    throw_error(ErrorKind::format, "{}: no documents, one JSON object a line expected", path);
  return out;
}

}  // namespace halftone
