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

Json evaluation_object(const Evaluation& e, const EvalSettings& s, int64_t tokens,
                       const std::string& text_sha256) {
  Json out{{"perplexity", e.perplexity}};
  if (e.agreement) out["teacher_perplexity"] = e.agreement->teacher_perplexity;
  out["tokens"] = tokens;
  out["windows"] = e.windows;
  out["predictions"] = e.predictions;
  out["context"] = s.context;
  out["protocol"] = protocol_name(s.protocol);
  out["bos"] = bos_name(s.bos);
  out["join"] = s.join == Join::wikitext ? "wikitext" : "none";
  out["text_sha256"] = text_sha256;
  return out;
}

void put_agreement(const Evaluation& e, Json& out) {
  if (e.agreement) out["agreement"] = {{"kl", e.agreement->kl}, {"top1", e.agreement->top1}};
}

}  // namespace

std::string evaluation_json(const Evaluation& e, const EvalSettings& s, int64_t tokens,
                            const std::string& text_sha256) {
  Json out = evaluation_object(e, s, tokens, text_sha256);
  put_agreement(e, out);
  return json_text(out, 2);
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
  if (r.evaluated) {
    out["eval"] = evaluation_object(r.eval, r.eval_settings, r.eval_tokens, r.text_sha256);
    put_agreement(r.eval, out);
  }
  out["bits"] = {{"paper", r.student.paper_bits},
                 {"linear", r.student.linear_bits},
                 {"file", r.student.file_bits}};
  out["bytes"] = {{"model", r.model_bytes}, {"teacher_fp16", r.teacher_fp16_bytes}};
  out["tokens_seen"] = r.tokens_seen;
  out["seconds"] = {{"import", r.seconds.import},     {"calibrate", r.seconds.calibrate},
                    {"quantise", r.seconds.quantise}, {"train", r.seconds.train},
                    {"eval", r.seconds.eval},         {"total", r.seconds.total}};
  out["tokens_per_second"] = r.tokens_per_second;
  out["peak_rss_bytes"] = peak_rss_bytes();
  out["machine"] = {{"cpu", cpu_name()},
                    {"isa", isa_name(isa())},
                    {"threads", threads()},
                    {"blas", blas_name()},
                    {"device", gpu_description().empty() ? std::string("cpu") : gpu_description()}};
  for (const QuantisedLinear& layer : r.layers)
    out["layers"].push_back({{"name", layer.name}, {"relative_error", layer.relative_error}});
  out["version"] = HALFTONE_VERSION;
  return json_text(out, 2);
}

}  // namespace halftone
