#include "halftone/report/run_record.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/json_numbers.h"
#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{64} << 20, kMostLogBytes = uint64_t{1} << 32;

// An object of a result file, with its place for error messages.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) throw_error(ErrorKind::format, "{}: an object expected", where_);
  }

  bool has(const std::string& key) const { return object_.contains(key); }
  Fields at(const std::string& key) const { return {value(key), where_ + "." + key}; }
  const Json& value(const std::string& key) const {
    if (!has(key)) throw_error(ErrorKind::format, "{}.{}: missing", where_, key);
    return object_.at(key);
  }
  double number(const std::string& key) const {
    const Json& found = value(key);
    if (!found.is_number() || !std::isfinite(found.get<double>()))
      throw_error(ErrorKind::format, "{}.{}: found {}, a finite number expected", where_, key,
                  printable(found.dump()));
    return found.get<double>();
  }
  std::string text(const std::string& key) const {
    const Json& found = value(key);
    if (!found.is_string())
      throw_error(ErrorKind::format, "{}.{}: found {}, a text expected", where_, key,
                  printable(found.dump()));
    return found.get<std::string>();
  }
  // A text or a number, as text.
  std::string either(const std::string& key) const {
    return value(key).is_string() ? text(key) : fmt::format("{}", number(key));
  }
  // What a broken model may have made infinite or NaN.
  double figure(const std::string& key) const {
    if (const auto found = json_number(value(key))) return *found;
    throw_error(ErrorKind::format, "{}.{}: found {}, a number expected", where_, key,
                printable(value(key).dump()));
  }
  std::optional<double> optional_figure(const std::string& key) const {
    if (!has(key)) return std::nullopt;
    return figure(key);
  }

 private:
  const Json& object_;
  std::string where_;
};

// A list of objects.
std::vector<Fields> objects(const Fields& fields, const std::string& where,
                            const std::string& key) {
  std::vector<Fields> out;
  const Json& list = fields.value(key);
  if (!list.is_array()) throw_error(ErrorKind::format, "{}.{}: a list expected", where, key);
  for (const Json& item : list)
    out.push_back({item, fmt::format("{}.{}[{}]", where, key, out.size())});
  return out;
}

using Entries = std::vector<std::pair<std::string, std::string>>;

Entries text_protocol(const Fields& eval) {
  Entries out;
  for (const char* key : {"protocol", "context", "windows", "tokens", "join"})
    out.emplace_back(key, eval.either(key));
  // Results of before it was a setting.
  const char* usual = eval.text("protocol") == "llamacpp" ? "window" : "document";
  out.emplace_back("bos", eval.has("bos") ? eval.text("bos") : usual);
  out.emplace_back("text", eval.text("text_sha256").substr(0, 12));
  return out;
}

// The perplexities stand in `eval`, the agreement beside them where `result` says so.
TextFigures text_figures(const Fields& eval, const Fields& result) {
  TextFigures out{.perplexity = eval.figure("perplexity"),
                  .teacher_perplexity = eval.optional_figure("teacher_perplexity")};
  if (!result.has("agreement")) return out;
  out.kl = result.at("agreement").figure("kl");
  out.top1 = result.at("agreement").figure("top1");
  return out;
}

void read_texts(const Fields& result, const std::string& path, RunRecord& out) {
  if (!result.has("eval")) return;
  const Fields eval = result.at("eval");
  static_cast<TextFigures&>(out) = text_figures(eval, result);
  for (const auto& entry : text_protocol(eval)) out.protocol.push_back(entry);
  if (!result.has("texts")) return;
  for (const Fields& text : objects(result, path, "texts")) {
    const std::string name = text.text("name");
    out.texts.emplace_back(name, text_figures(text, text));
    std::vector<std::string> values;
    for (const auto& [key, value] : text_protocol(text)) values.push_back(key + " " + value);
    out.protocol.emplace_back("text " + name, fmt::format("{}", fmt::join(values, ", ")));
  }
}

void read_tasks(const Fields& result, const std::string& path, RunRecord& out) {
  if (!result.has("tasks")) return;
  const Fields tasks = result.at("tasks");
  TaskShares& shares = out.zero_shot;
  std::vector<std::string> names;
  Entries protocol;
  for (const Fields& task : objects(tasks, path + ".tasks", "results")) {
    const std::string name = task.text("task");
    names.push_back(name);
    shares.tasks.emplace_back(name, task.figure(task.has("acc_norm") ? "acc_norm" : "acc"));
    protocol.emplace_back("task " + name,
                          fmt::format("text {}, the first {} documents of {}, bos {}",
                                      task.text("sha256").substr(0, 12), task.number("documents"),
                                      task.number("in_file"), tasks.text("bos")));
  }
  out.protocol.emplace_back("tasks", fmt::format("{}", fmt::join(names, ", ")));
  out.protocol.insert(out.protocol.end(), protocol.begin(), protocol.end());
  const auto read = [&](const char* key, std::optional<double>& average) {
    if (!tasks.has(key)) return;
    average = tasks.at(key).figure("value");
    shares.above_chance = tasks.at(key).optional_figure("above_chance");
  };
  read("average", shares.average);
  read("onebit_average", shares.onebit_average);
}

std::vector<LoggedStep> read_log(const std::string& path) {
  std::vector<LoggedStep> out;
  if (!fs::is_regular_file(status_at(path))) return out;
  std::istringstream file(read_text_file(path, kMostLogBytes));
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    // A run that was killed may have left a part of its last line.
    if (file.eof() && !Json::accept(line)) break;
    const std::string where = fmt::format("{}:{}", path, ++number);
    const Json parsed = parse_strict_json(line, where);
    const Fields step(parsed, where);
    out.push_back({.step = step.number("step"),
                   .loss = step.optional_figure("loss"),
                   .learning_rate = step.optional_figure("learning_rate"),
                   .sign_flip_rate = step.optional_figure("sign_flip_rate")});
  }
  return out;
}

}  // namespace

RunRecord read_run(const std::string& directory) {
  const std::string path = directory + "/result.json";
  if (!fs::is_regular_file(status_at(path)))
    throw_error(ErrorKind::format, "{}: no result.json; a finished run expected", directory);
  const Json parsed = read_json_file(path, kMostBytes);
  const Fields result(parsed, path);
  RunRecord out;
  out.directory = directory;
  out.name = result.text("name");
  out.method = result.text("method");
  if (result.has("teacher"))
    out.protocol.emplace_back("teacher", result.at("teacher").text("sha256").substr(0, 12));
  read_texts(result, path, out);
  read_tasks(result, path, out);
  const Fields bits = result.at("bits");
  out.bits_paper = bits.number("paper");
  out.bits_linear = bits.number("linear");
  out.bits_file = bits.number("file");
  out.bytes = result.at("bytes").number("model");
  out.seconds = result.at("seconds").number("total");
  out.peak_rss_bytes = result.number("peak_rss_bytes");
  for (const char* key : {"cpu", "isa", "threads", "blas", "device"})
    out.machine.emplace_back(key, result.at("machine").either(key));
  out.machine.emplace_back("version", result.text("version"));
  if (result.has("layers"))
    for (const Fields& layer : objects(result, path, "layers"))
      out.layers.emplace_back(layer.text("name"), layer.figure("relative_error"));
  out.log = read_log(directory + "/log.jsonl");
  return out;
}

}  // namespace halftone
