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

void read_evaluation(const Fields& result, RunRecord& out) {
  if (result.has("teacher"))
    out.protocol.emplace_back("teacher", result.at("teacher").text("sha256").substr(0, 12));
  if (!result.has("eval")) return;
  const Fields eval = result.at("eval");
  out.perplexity = eval.figure("perplexity");
  out.teacher_perplexity = eval.optional_figure("teacher_perplexity");
  for (const char* key : {"protocol", "context", "windows", "tokens", "join"})
    out.protocol.emplace_back(key, eval.either(key));
  // Results of before it was a setting.
  const char* usual = eval.text("protocol") == "llamacpp" ? "window" : "document";
  out.protocol.emplace_back("bos", eval.has("bos") ? eval.text("bos") : usual);
  out.protocol.emplace_back("text", eval.text("text_sha256").substr(0, 12));
  if (!result.has("agreement")) return;
  out.kl = result.at("agreement").figure("kl");
  out.top1 = result.at("agreement").figure("top1");
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
  RunRecord out{
      .directory = directory, .name = result.text("name"), .method = result.text("method")};
  read_evaluation(result, out);
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
  if (result.has("layers")) {
    if (!result.value("layers").is_array())
      throw_error(ErrorKind::format, "{}.layers: a list expected", path);
    size_t index = 0;
    for (const Json& layer : result.value("layers")) {
      const Fields fields(layer, fmt::format("{}.layers[{}]", path, index++));
      out.layers.emplace_back(fields.text("name"), fields.figure("relative_error"));
    }
  }
  out.log = read_log(directory + "/log.jsonl");
  return out;
}

}  // namespace halftone
