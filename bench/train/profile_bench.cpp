// Where an optimiser step spends its time:
//   profile_bench smol|tiny|quickstart|billion BATCH LENGTH [STEPS] [DEVICE] [f32|bf16]
//   [plain|normed]
// First whole steps, then milliseconds a step by op and pass, their share of the step, and for
// products their rate; means over the steps. On a GPU the second part waits behind every op.
// Attention is counted as causal: half of T x T. `plain` is without the layers' normalisation.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "bench/bench.h"
#include "bench/models.h"
#include "halftone/tensor/device.h"
#include "halftone/train/adamw.h"
#include "halftone/train/distillation.h"

namespace halftone {
namespace {

using Pass = OpTimes::Pass;

// Floating-point operations of a step's products, by op and pass.
double operations(const ModelConfig& c, int64_t batch, int64_t length, const std::string& op,
                  Pass pass) {
  const double tokens = static_cast<double>(batch * length);
  const double head = static_cast<double>(c.vocab_size * c.hidden_size),
               linears = static_cast<double>(bench::multiplied_weights(c)) - head;
  const double attention =
      2.0 * tokens *
      static_cast<double>(length * c.num_hidden_layers * c.num_attention_heads * c.head_dim);
  if (op == "head_loss") return pass == Pass::forward ? 8 * tokens * head : 0;
  if (op == "linear" || op == "onebit_linear")
    return (pass == Pass::backward ? 4 : 2) * tokens * linears;
  if (op == "attention") return (pass == Pass::backward ? 2.5 : 1) * attention;
  return 0;
}

struct Where {
  Device device = Device::cpu;
  DType precision = DType::f32;
};

void move(Decoder& model, const Where& where, bool trained) {
  if (where.device == Device::cpu) return;
  model.activations = where.precision;
  model.move_to(where.device, trained ? std::nullopt : std::optional(where.precision));
}

int profile(const ModelConfig& config, int64_t batch, int64_t length, int steps, const Where& where,
            bool normed) {
  Decoder teacher = bench::random_teacher(config),
          student = bench::random_student(config, {.post_layer_norm = normed});
  move(teacher, where, false);
  move(student, where, true);
  std::vector<Param*> params;
  std::vector<Moments> moments;
  student.visit([&](Param& p) {
    params.push_back(&p);
    moments.push_back(no_moments(p.value));
  });
  const std::vector<int32_t> ids = bench::random_ids(batch * length, config.vocab_size);
  Tensor flips = Tensor::zeros({}, DType::f64, where.device);
  OpTimes times([&] { synchronize(where.device); });
  const auto step = [&](OpTimes* t) {
    Tape tape(Tape::Mode::record, t);
    const BatchLoss loss = batch_loss(tape, student, &teacher, ids, batch, {});
    tape.backward(loss.loss);
    if (t) t->mark();
    const double norm = std::sqrt(squared_gradient_norm(params));
    if (t) t->count("gradient norm", Pass::backward);
    adamw_step(params, moments, 1, 1e-4, clip_factor(norm, 1), {}, flips);
    for (Param* p : params) p->grad.clear();  // as the trainer does
    if (t) t->count("AdamW", Pass::backward);
  };
  step(nullptr);
  step(nullptr);
  reset_peak_gpu_bytes();
  std::vector<double> seconds;
  for (int k = 0; k < steps; ++k)
    seconds.push_back(bench::seconds_of([&] {
      step(nullptr);
      synchronize(where.device);
    }));
  const double each = bench::median(seconds), tokens = static_cast<double>(batch * length);
  fmt::print("{}: {:.4f} s a step, {:.0f} tokens/s, {:.1f} TFLOP/s of the linears and the head",
             where.device == Device::cpu ? isa_name(isa()) : gpu_description(), each, tokens / each,
             8 * tokens * static_cast<double>(bench::multiplied_weights(config)) / each / 1e12);
  if (where.device != Device::cpu)
    fmt::print(", {:.2f} GB at most", static_cast<double>(peak_gpu_bytes()) / 1e9);
  fmt::print("\n");
  for (int k = 0; k < steps; ++k) {
    times.mark();
    step(&times);
  }
  std::vector<std::pair<std::pair<std::string, Pass>, OpTimes::Total>> rows(times.totals().begin(),
                                                                            times.totals().end());
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  double total = 0;
  for (const auto& row : rows) total += row.second.seconds;
  fmt::print("\nBy op, {:.4f} s a step:\n\n", total / steps);
  fmt::print("| op | pass | ms | share | GFLOP/s |\n|---|---|---|---|---|\n");
  const char* names[] = {"forward", "backward", "teacher"};
  for (const auto& [key, sum] : rows) {
    const double seconds = sum.seconds / steps,
                 work = operations(config, batch, length, key.first, key.second);
    if (sum.seconds < 0.002 * total) continue;
    fmt::print("| {} | {} | {:.2f} | {:.1f} % | {} |\n", key.first,
               names[static_cast<int>(key.second)], 1e3 * seconds, 100 * sum.seconds / total,
               work > 0 ? fmt::format("{:.0f}", work / seconds / 1e9) : "");
  }
  return 0;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  using namespace halftone;
  const std::map<std::string, ModelConfig> shapes{{"smol", bench::smollm2_135m()},
                                                  {"tiny", bench::tiny()},
                                                  {"quickstart", bench::quickstart()},
                                                  {"billion", bench::billion()}};
  if (argc < 4 || !shapes.contains(argv[1])) {
    fmt::print(stderr,
               "usage: profile_bench smol|tiny|quickstart|billion BATCH LENGTH [STEPS] "
               "[DEVICE] [f32|bf16] [plain|normed]\n");
    return 2;
  }
  set_threads(0);
  const auto argument = [&](int i, const char* otherwise) {
    return std::string(argc > i ? argv[i] : otherwise);
  };
  const Where where{.device = use_device(argument(5, "cpu")),
                    .precision = argument(6, "f32") == "bf16" ? DType::bf16 : DType::f32};
  return profile(shapes.at(argv[1]), std::atoll(argv[2]), std::atoll(argv[3]),
                 std::stoi(argument(4, "3")), where, argument(7, "normed") == "normed");
}
