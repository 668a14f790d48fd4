#include "halftone/eval/result.h"

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/io/json_numbers.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

Json text_object(const TextResult& text) {
  const Evaluation& e = text.eval;
  const TextSettings& s = text.settings;
  Json out{{"perplexity", e.perplexity}};
  if (e.agreement) out["teacher_perplexity"] = e.agreement->teacher_perplexity;
  out["tokens"] = text.tokens;
  out["windows"] = e.windows;
  out["predictions"] = e.predictions;
  out["context"] = s.context;
  out["protocol"] = protocol_name(s.protocol);
  out["bos"] = bos_name(s.bos);
  out["join"] = s.join == Join::wikitext ? "wikitext" : "none";
  out["text_sha256"] = text.sha256;
  return out;
}

void put_agreement(const Evaluation& e, Json& out) {
  if (e.agreement) out["agreement"] = {{"kl", e.agreement->kl}, {"top1", e.agreement->top1}};
}

void put_estimate(const char* name, const Estimate& e, Json& out) {
  out[name] = e.value;
  out[std::string(name) + "_stderr"] = e.standard_error;
}

void put_figures(const TaskFigures& f, Json& out) {
  put_estimate("acc", f.acc, out);
  if (f.acc_norm) put_estimate("acc_norm", *f.acc_norm, out);
  if (f.perplexity) put_estimate("perplexity", *f.perplexity, out);
}

Json task_object(const TaskResult& r) {
  Json out{{"task", r.task->name},
           {"documents", r.documents},
           {"in_file", r.in_file},
           {"sha256", r.sha256},
           {"chance", r.chance}};
  put_figures(r.model, out);
  if (r.teacher) put_figures(*r.teacher, out["teacher"]);
  return out;
}

void put_average(const char* name, const std::optional<TaskAverage>& average, Json& out) {
  if (!average) return;
  Json& at = out[name] = {{"tasks", average->tasks}, {"chance", average->chance}};
  put_estimate("value", average->model, at);
  if (average->teacher) put_estimate("teacher", *average->teacher, at);
  if (const auto share = average->above_chance()) at["above_chance"] = *share;
}

// What is only there of several texts, or with tasks.
void put_further(const EvalResults& results, Json& out) {
  if (results.texts.size() > 1)
    for (const TextResult& text : results.texts) {
      Json one{{"name", text.settings.name}};
      one.update(text_object(text));
      put_agreement(text.eval, one);
      out["texts"].push_back(one);
    }
  if (results.tasks.empty()) return;
  Json& tasks = out["tasks"];
  tasks["protocol"] = "lm-evaluation-harness 0.4, zero-shot";
  tasks["bos"] = results.task_bos ? "context" : "none";
  for (const TaskResult& result : results.tasks) tasks["results"].push_back(task_object(result));
  put_average("average", average(results.tasks), tasks);
  put_average("onebit_average", onebit_average(results.tasks), tasks);
}

Json data_object(const DataResult& data) {
  Json out{{"tokens", data.tokens},
           {"sha256", data.sha256},
           {"cross_documents", data.cross_documents},
           {"sources", Json::array()}};
  for (const SourceFigures& source : data.sources) {
    Json one{{"path", source.settings.path},
             {"typography", typography_name(source.settings.typography)},
             {"documents", source.documents},
             {"tokens", source.tokens},
             {"passes", source.passes}};
    if (data.mixed) one["weight"] = source.settings.weight;
    out["sources"].push_back(std::move(one));
  }
  if (data.generated_tokens > 0) out["generated_tokens"] = data.generated_tokens;
  if (data.held_out > 0)
    out["held_out"] = {{"share", data.held_out},
                       {"documents", data.held_out_documents},
                       {"tokens", data.held_out_tokens}};
  return out;
}

Json trace_object(const TraceFigures& trace) {
  Json out{{"steps", trace.steps}, {"step_seconds", trace.step_seconds}};
  for (const auto& [name, figures] : trace.exchanged)
    out["exchange"][name] = {{"seconds", figures.seconds},
                             {"beside_compute", figures.beside_compute}};
  return out;
}

}  // namespace

std::string evaluation_json(const EvalResults& results) {
  Json out = Json::object();
  if (!results.texts.empty()) {
    out = text_object(results.texts[0]);
    put_agreement(results.texts[0].eval, out);
  }
  put_further(results, out);
  return json_text(out, 2);
}

std::string task_samples(const TaskDocuments& task, const TaskScores& scores) {
  std::string out;
  for (size_t d = 0; d < scores.size(); ++d) {
    const Chosen taken = chosen(task.documents[d], scores[d]);
    Json line{{"task", task.task->name}, {"document", d + 1}, {"gold", task.documents[d].gold}};
    for (const ChoiceScore& score : scores[d]) {
      line["log_probabilities"].push_back(score.log_probability);
      line["greedy"].push_back(score.greedy);
    }
    if (taken.plain) line["acc_choice"] = *taken.plain;
    if (taken.normalised && task.task->normalised) line["acc_norm_choice"] = *taken.normalised;
    out += json_text(line, -1) + "\n";
  }
  return out;
}

std::string result_json(const RunResult& r) {
  Json out{
      {"name", r.name}, {"method", r.method}, {"recipe_sha256", r.recipe_sha256}, {"seed", r.seed}};
  if (!r.teacher_path.empty())
    out["teacher"] = {{"path", r.teacher_path},
                      {"sha256", r.teacher_sha256},
                      {"parameters", r.teacher_parameters}};
  out["student"] = {{"parameters", r.student.parameters},
                    {"quantised_parameters", r.student.quantised_parameters}};
  if (!r.eval.texts.empty()) {
    out["eval"] = text_object(r.eval.texts[0]);
    put_agreement(r.eval.texts[0].eval, out);
  }
  put_further(r.eval, out);
  out["bits"] = {{"paper", r.student.paper_bits},
                 {"linear", r.student.linear_bits},
                 {"file", r.student.file_bits}};
  out["bytes"] = {{"model", r.model_bytes}, {"teacher_fp16", r.teacher_fp16_bytes}};
  if (r.data) out["data"] = data_object(*r.data);
  out["tokens_seen"] = r.tokens_seen;
  out["seconds"] = {{"import", r.seconds.import},     {"calibrate", r.seconds.calibrate},
                    {"quantise", r.seconds.quantise}, {"train", r.seconds.train},
                    {"eval", r.seconds.eval},         {"total", r.seconds.total}};
  out["tokens_per_second"] = r.tokens_per_second;
  if (r.trace) out["trace"] = trace_object(*r.trace);
  out["peak_rss_bytes"] = peak_rss_bytes();
  out["machine"] = {{"cpu", cpu_name()},
                    {"isa", isa_name(isa())},
                    {"threads", threads()},
                    {"ranks", r.ranks},
                    {"blas", blas_name()},
                    {"device", gpu_description().empty() ? std::string("cpu") : gpu_description()}};
  for (const QuantisedLinear& layer : r.layers)
    out["layers"].push_back({{"name", layer.name}, {"relative_error", layer.relative_error}});
  if (!r.warm_start.empty()) out["warm_start"] = Json::parse(warm_start_json(r.warm_start));
  out["version"] = HALFTONE_VERSION;
  return json_text(out, 2);
}

}  // namespace halftone
