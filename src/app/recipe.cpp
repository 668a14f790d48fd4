#include "app/recipe.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/trace.h"
#include "recipe_sections.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

bool is_file(const std::string& path) {
  return fs::is_regular_file(status_at(path));
}

bool is_directory(const std::string& path) {
  return fs::is_directory(status_at(path));
}

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"none", Method::none}, {"pretrain", Method::pretrain}, {"onebit", Method::onebit}};

// Of all methods, as the recipe spells them: those above, then the post-training ones.
std::vector<std::string_view> method_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, method] : kMethods) names.push_back(name);
  for (const PtqMethod& method : ptq_methods()) names.push_back(method.name);
  return names;
}

const std::initializer_list<std::pair<std::string_view, WeightDtype>> kDtypes = {
    {"auto", WeightDtype::automatic},
    {"f32", WeightDtype::f32},
    {"f16", WeightDtype::f16},
    {"bf16", WeightDtype::bf16},
};

// The name becomes one path component inside output_dir and must stay one.
bool is_run_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || name[0] == '.') return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c > 0x20 && c != 0x7f && c != '/' && c != '\\';
  });
}

void check_teacher(const Recipe& r, RecipeReport& report) {
  const std::string& model = r.teacher.model;
  if (model.empty()) {
    report.rule(true, {"teacher.model"}, "missing, the path of a model expected");
    return;
  }
  if (r.run.method != Method::pretrain) {
    report.rule(!exists_at(model), {"teacher.model", "run.method"},
                fmt::format("found {}, which does not exist", toml_string(model)));
    return;
  }
  const bool whole = is_directory(model) && is_file(model + "/config.json") &&
                     (is_file(model + "/tokenizer.json") || is_file(model + "/tokenizer.model"));
  report.rule(!whole, {"teacher.model", "run.method"},
              fmt::format("found {}, pretrain expects a directory with config.json and "
                          "tokenizer.json or tokenizer.model",
                          toml_string(model)));
}

void check_cache(const Recipe& r, RecipeReport& report) {
  const int64_t k = r.teacher.cache_top_k;
  report.rule(k > 0 && r.run.method != Method::onebit, {"teacher.cache_top_k", "run.method"},
              fmt::format("found {}, 0 expected: the method {} does not learn from the teacher's "
                          "logits",
                          k, method_name(r.run)));
  report.rule(k > 0 && r.loss.hidden > 0, {"teacher.cache_top_k", "loss.hidden", "run.method"},
              fmt::format("found {} beside loss.hidden = {}, 0 expected for one of the two: hidden "
                          "states need the teacher in every step",
                          k, number_text(r.loss.hidden)));
  report.rule(k > 0 && r.loss.kl == 0, {"teacher.cache_top_k", "loss.kl", "run.method"},
              fmt::format("found {} beside loss.kl = 0, 0 expected: nothing learns from the "
                          "teacher's logits",
                          k));
}

void check_files(const std::vector<std::string>& paths, const char* key, RecipeReport& report) {
  for (const std::string& path : paths)
    if (!is_file(path))
      report.add(key, fmt::format("found {}, {}", toml_string(path),
                                  exists_at(path) ? "a file expected" : "which does not exist"));
}

// A key of two numbers, [least, greatest], both tokens of a sequence.
void check_range(const std::vector<int64_t>& range, const char* key, const Recipe& r,
                 RecipeReport& report) {
  const bool fits = range.size() == 2 && range[0] <= range[1] && range[1] <= r.data.max_seq_length;
  report.rule(!fits, {key, "data.max_seq_length"},
              fmt::format("found [{}], [least, greatest] up to data.max_seq_length = {} expected",
                          fmt::join(range, ", "), r.data.max_seq_length));
}

// Texts that are mixed: tables under `key`.
void check_sources(const std::vector<SourceSettings>& sources, const char* key,
                   RecipeReport& report) {
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string path = fmt::format("{}[{}].path", key, i);
    if (sources[i].path.empty())
      report.add(path, "missing, the path of a text expected");
    else
      check_files({sources[i].path}, path.c_str(), report);
  }
}

void check_data(const Recipe& r, RecipeReport& report) {
  check_files(r.data.train, "data.train", report);
  check_sources(r.data.sources, "data.source", report);
  const bool text = !r.data.train.empty() || !r.data.sources.empty();
  report.rule(!r.data.train.empty() && !r.data.sources.empty(), {"data.train", "data.source"},
              "found beside [[data.source]], only one of the two expected");
  const std::vector<TextSettings> measured = texts_of(r.eval);
  report.rule(
      r.data.held_out > 0 && std::ranges::count(measured, kHeldOutName, &TextSettings::name) > 0,
      {"eval.text", "data.held_out"},
      fmt::format("found a text called \"{}\", another name expected: the documents of "
                  "data.held_out have it",
                  kHeldOutName));
  const GenerateSettings& g = r.data.generate;
  if (r.data.generate_present) {
    report.rule(g.sequences < 1, {"data.generate.sequences"},
                "missing, the number of sequences to draw expected");
    check_range(g.greedy_prefix, "data.generate.greedy_prefix", r, report);
    if (!g.prefix.empty() || !g.prefixes.empty())
      check_range(g.prefix_tokens, "data.generate.prefix_tokens", r, report);
    check_files(g.prefix, "data.generate.prefix", report);
    check_sources(g.prefixes, "data.generate.prefix", report);
  }
  if (r.run.method == Method::pretrain) {
    report.rule(!text, {"data.train", "data.source", "run.method"},
                "missing, pretrain expects text to learn from");
    report.rule(r.data.generate_present, {"data.generate", "run.method"},
                "found a table, but pretrain has no teacher to draw text from");
  } else if (r.run.method == Method::onebit) {
    report.rule(!text && !r.data.generate_present,
                {"data.train", "data.source", "data.generate", "run.method"},
                "missing, text to learn from or data.generate expected");
  }
}

void check_calibration(const Recipe& r, RecipeReport& report) {
  check_files(r.calibration.text, "calibration.text", report);
  report.rule(r.calibration.text.empty() && !r.data.generate_present,
              {"calibration.text", "data.generate", "run.method"},
              "missing, text to calibrate on or data.generate expected");
  report.rule(r.run.ptq && r.ptq.norm_tweak_present && r.calibration.num_calibration_samples < 2,
              {"calibration.num_calibration_samples", "ptq.norm_tweak"},
              fmt::format("found {}, at least 2 expected: norm tweaking holds one out",
                          r.calibration.num_calibration_samples));
}

void check_student_section(const Recipe& r, RecipeReport& report) {
  const StudentSettings& s = r.student;
  const int64_t group = s.scale_group;
  report.rule(group != 0 && group != 32 && group != 64 && group != 128, {"student.scale_group"},
              fmt::format("found {}, 0, 32, 64 or 128 expected", group));
  const auto normed = [](const char* found, const char* expected) {
    return fmt::format(
        "found {} beside student.post_layer_norm = true, {} or student.post_layer_norm = false "
        "expected: no normalisation stands behind such scales",
        found, expected);
  };
  report.rule(group > 0 && s.post_layer_norm,
              {"student.scale_group", "student.post_layer_norm", "run.method"},
              normed(std::to_string(group).c_str(), "0"));
  report.rule(s.foldable && s.post_layer_norm,
              {"student.foldable", "student.post_layer_norm", "run.method"},
              normed("true", "false"));
}

void check_training(const Recipe& r, RecipeReport& report) {
  const TrainSettings& t = r.train;
  report.rule(t.max_steps == 0 && t.num_train_epochs == 0,
              {"train.max_steps", "train.num_train_epochs", "run.method"},
              "missing, train.max_steps or train.num_train_epochs above 0 expected");
  report.rule(t.max_steps > 0 && t.num_train_epochs > 0,
              {"train.num_train_epochs", "train.max_steps", "run.method"},
              fmt::format("found {} beside train.max_steps = {}, only one of the two expected",
                          number_text(t.num_train_epochs), t.max_steps));
  report.rule(r.run.trace_steps > 0 && t.max_steps > 0 && t.max_steps <= kWarmSteps,
              {"run.trace_steps", "train.max_steps", "run.method"},
              fmt::format("found {} beside train.max_steps = {}, 0 or more than {} steps expected: "
                          "the first {} are not traced",
                          r.run.trace_steps, t.max_steps, kWarmSteps, kWarmSteps));
  report.rule(
      t.max_steps > 0 && t.warmup_steps > t.max_steps,
      {"train.warmup_steps", "train.max_steps", "run.method"},
      fmt::format("found {}, at most train.max_steps = {} expected", t.warmup_steps, t.max_steps));
  report.rule(
      t.shard_parameters && !t.gradient_checkpointing,
      {"train.gradient_checkpointing", "train.shard_parameters", "run.method"},
      "found false beside train.shard_parameters = true, true expected: else backward holds "
      "all blocks whole");
  report.rule(
      r.run.method == Method::onebit && r.loss.kl == 0 && r.loss.hidden == 0 && r.loss.labels == 0,
      {"loss.kl", "loss.hidden", "loss.labels", "run.method"},
      "found 0 for loss.kl, loss.hidden and loss.labels, one above 0 expected");
}

void check_evaluation(const Recipe& r, RecipeReport& report) {
  const EvalSettings& e = r.eval;
  report.rule(r.run.method == Method::none && texts_of(e).empty() && e.tasks.empty(),
              {"eval.text", "eval.tasks", "run.method"},
              "missing, the method none only evaluates and expects a text or tasks");
  if (!e.text.empty() && e.texts.empty()) check_files({e.text}, "eval.text", report);
  for (size_t i = 0; i < e.texts.size(); ++i) {
    const std::string key = fmt::format("eval.text[{}].path", i);
    if (e.texts[i].text.empty())
      report.add(key, "missing, the path of a text expected");
    else
      check_files({e.texts[i].text}, key.c_str(), report);
  }
  const std::string twice = name_given_twice(texts_of(e));
  report.rule(!twice.empty(), {"eval.text"},
              fmt::format("found two texts called {}, different names expected",
                          toml_string(printable(twice))));
  report.rule(!e.tasks.empty() && e.tasks_dir.empty(), {"eval.tasks_dir", "eval.tasks"},
              "missing, the directory of the tasks' documents expected");
  report.rule(!e.tasks_dir.empty() && !is_directory(e.tasks_dir), {"eval.tasks_dir"},
              fmt::format("found {}, a directory expected", toml_string(e.tasks_dir)));
  report.rule(std::set<std::string>(e.tasks.begin(), e.tasks.end()).size() != e.tasks.size(),
              {"eval.tasks"}, "found a task twice, each once expected");
}

}  // namespace

void fields(FieldVisitor& v, RunSettings& s) {
  v.field("name", s.name, "name of the run and of its directory; required");
  const std::vector<std::string_view> names = method_names();
  int index = static_cast<int>(std::ranges::find(names, method_name(s)) - names.begin());
  v.choice("method", index, names, "how the model is made; required");
  s.ptq = find_ptq_method(names[index]);
  s.method = s.ptq ? Method::ptq : kMethods[index].second;
  v.path("output_dir", s.output_dir, "where the run directory is made");
  v.field("seed", s.seed, {}, "of every random number of the run");
  v.field("device", s.device, "cpu, or cuda:0 for the first GPU");
  v.field("threads", s.threads, {0, 4096}, "0 = every core");
  v.field("trace_steps", s.trace_steps, {0, 1000},
          "training steps of which trace.json says where their time goes, from the 4th on; 0 = "
          "none");
}

void fields(FieldVisitor& v, TeacherSettings& s) {
  v.path("model", s.model,
         "the teacher: an HF directory, a .gguf, a run directory or a checkpoint");
  choice(
      v, "dtype", s.dtype, kDtypes,
      "the teacher's matrices: f32 = as stored; auto = too, but quantised ones of a GGUF file in "
      "F16; or rounded");
  v.field("cache_top_k", s.cache_top_k, {0, 4096},
          "keep the teacher's k likeliest tokens on disk and run it once over the text; 0 = off");
}

void for_each_section(
    Recipe& r,
    const std::function<void(std::string_view, const std::function<void(FieldVisitor&)>&)>& visit) {
  visit("run", [&](FieldVisitor& v) { fields(v, r.run); });
  visit("teacher", [&](FieldVisitor& v) { fields(v, r.teacher); });
  visit("data", [&](FieldVisitor& v) { fields(v, r.data); });
  visit("student", [&](FieldVisitor& v) { fields(v, r.student); });
  visit("loss", [&](FieldVisitor& v) { fields(v, r.loss); });
  visit("warm_start", [&](FieldVisitor& v) { fields(v, r.warm_start); });
  visit("train", [&](FieldVisitor& v) { fields(v, r.train); });
  visit("calibration", [&](FieldVisitor& v) { fields(v, r.calibration); });
  visit("ptq", [&](FieldVisitor& v) { fields(v, r.ptq); });
  visit("eval", [&](FieldVisitor& v) { fields(v, r.eval); });
}

std::string method_name(const RunSettings& s) {
  if (s.ptq) return std::string(s.ptq->name);
  for (const auto& [name, value] : kMethods)
    if (value == s.method) return std::string(name);
  return "";
}

std::string dtype_text(const TeacherSettings& s) {
  for (const auto& [name, value] : kDtypes)
    if (value == s.dtype) return std::string(name);
  return "";
}

bool is_trained(Method method) {
  return method == Method::pretrain || method == Method::onebit;
}

bool calibrates(const Recipe& r) {
  const bool start = r.student.start == StudentStart::arb_rc || r.warm_start.steps > 0;
  return r.run.ptq || (r.run.method == Method::onebit && start);
}

std::string RecipeReport::place(std::string key) const {
  for (;;) {
    const auto found = places_.find(key);
    if (found != places_.end()) return found->second;
    const size_t dot = key.rfind('.');
    if (dot == std::string::npos) return file_;
    key.resize(dot);
  }
}

void RecipeReport::add(const std::string& key, const std::string& text) {
  faulty_.insert(key);
  lines_.push_back(fmt::format("{}: {}: {}", place(key), key, text));
}

void RecipeReport::rule(bool broken, std::initializer_list<const char*> keys,
                        const std::string& text) {
  for (const char* key : keys)
    if (faulty_.count(key)) return;
  if (broken) add(*keys.begin(), text);
}

void RecipeReport::throw_if_any() const {
  if (!lines_.empty()) throw Error(ErrorKind::recipe, fmt::format("{}", fmt::join(lines_, "\n")));
}

void check_device(const Recipe& r, RecipeReport& report) {
  try {
    if (use_device(r.run.device) == Device::cpu)
      return report.rule(is_trained(r.run.method) && r.train.precision != Precision::f32,
                         {"train.precision", "run.device"},
                         "found \"bf16\" for the CPU, \"f32\" expected");
  } catch (const Error& error) {
    return report.rule(true, {"run.device"}, error.what());
  }
  report.rule(is_trained(r.run.method) && r.train.shard_parameters,
              {"run.device", "train.shard_parameters"},
              fmt::format("found {} beside train.shard_parameters = true, \"cpu\" expected: "
                          "parameters are shared out there alone",
                          toml_string(r.run.device)));
  report.rule(r.run.ptq && r.ptq.norm_tweak_present, {"run.device", "ptq.norm_tweak"},
              fmt::format("found {}, \"cpu\" expected: norms are tweaked there alone",
                          toml_string(r.run.device)));
}

void check_rules(const Recipe& r, RecipeReport& report) {
  report.rule(!report.given("run.name"), {"run.name"}, "missing, a name for the run expected");
  report.rule(!is_run_name(r.run.name), {"run.name"},
              fmt::format("found {}, one file name without spaces or a dot in front expected",
                          toml_string(r.run.name)));
  report.rule(!report.given("run.method"), {"run.method"},
              fmt::format("missing, one of {} expected", fmt::join(method_names(), ", ")));
  check_device(r, report);
  report.rule(r.run.output_dir.empty(), {"run.output_dir"}, "found \"\", a directory expected");
  check_teacher(r, report);
  check_cache(r, report);
  check_data(r, report);
  if (r.run.method == Method::onebit) check_student_section(r, report);
  if (is_trained(r.run.method)) check_training(r, report);
  report.rule(!is_trained(r.run.method) && r.run.trace_steps > 0, {"run.trace_steps", "run.method"},
              fmt::format("found {}, 0 expected: the method {} has no training steps",
                          r.run.trace_steps, method_name(r.run)));
  if (calibrates(r)) check_calibration(r, report);
  check_evaluation(r, report);
}

std::string suggestion(std::string_view found, const std::vector<std::string>& known) {
  size_t best = std::max<size_t>(2, found.size() / 3) + 1;
  std::string nearest;
  for (const std::string& name : known) {
    // Levenshtein's distance, one row at a time.
    std::vector<size_t> row(name.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < found.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i + 1;
      for (size_t j = 0; j < name.size(); ++j) {
        const size_t cost =
            std::min({row[j + 1] + 1, row[j] + 1, diagonal + (found[i] != name[j])});
        diagonal = std::exchange(row[j + 1], cost);
      }
    }
    if (row.back() < best && row.back() < name.size()) {
      best = row.back();
      nearest = name;
    }
  }
  return nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest);
}

}  // namespace halftone
