// The ops of a step, forward and backward apart, on SmolLM2-135M's shapes (T = 512) and the
// quickstart's (8 x 256), by the clock that profile_bench reads.
//
// Products have FLOP/s (a 1-bit linear as the product it replaces; attention as causal, half of
// T x T) and share_of_sgemm: of sgemm's rate on T x C x I. Others have bytes/s (each operand read
// once, each result written once) and share_of_stream: of the rate of x += y over as many bytes.
// The yardstick runs in turns with the op; both by the median. Operands are warm where they fit.
#include <functional>

#include "bench/bench.h"
#include "bench/models.h"
#include "halftone/ops/activation.h"
#include "halftone/ops/attention.h"
#include "halftone/ops/embedding.h"
#include "halftone/ops/group_scaled_linear.h"
#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"
#include "halftone/ops/losses.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/ops/rms_norm.h"
#include "halftone/ops/rotary.h"
#include "halftone/train/adamw.h"

namespace halftone {
namespace {

using Pass = OpTimes::Pass;

struct Step {
  std::string name;
  ModelConfig config;
  int64_t batch, length;

  int64_t tokens() const { return batch * length; }
  int64_t query_size() const { return config.num_attention_heads * config.head_dim; }
  int64_t key_size() const { return config.num_key_value_heads * config.head_dim; }
};

// What one pass does: operations of products, or else F32 numbers moved.
struct Work {
  double operations = 0, numbers = 0;
};

struct Op {
  std::vector<Tensor> inputs;
  std::function<Var(const std::vector<Var>&)> apply;
  Work forward, backward;
};

// Numbers in [-scale, scale) that look random, made faster than random_tensor makes them.
Tensor scattered(const Shape& shape, uint32_t seed, float scale = 1) {
  Tensor out = Tensor::uninitialized(shape, DType::f32);
  float* x = out.data<float>();
  parallel_for(out.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      uint32_t bits = (static_cast<uint32_t>(i) + seed * 0x9E3779B9u) * 0x85EBCA6Bu;
      bits = (bits ^ bits >> 15) * 0xC2B2AE35u;
      x[i] = scale * (static_cast<float>(bits >> 8) / (1 << 23) - 1);
    }
  });
  return out;
}

// A loss whose gradient at y is dy, at no cost.
Var loss_of(const Var& y, const Tensor& dy) {
  return y.tape().record("loss", {y}, Tensor::zeros({}, y.dtype()),
                         [y = y.without_value(), dy](const Tensor&) { y.add_grad(dy); });
}

struct Results {
  Tensor value;
  std::vector<Tensor> gradients;  // of the inputs
};

// dy undefined: forward alone.
Results run_op(const Op& op, const Tensor& dy, DType dtype = DType::f32, OpTimes* times = nullptr) {
  Tape tape(Tape::Mode::record, times);
  std::vector<Var> inputs;
  for (const Tensor& input : op.inputs) inputs.push_back(tape.variable(input.to(dtype)));
  if (times) times->mark();
  const Var y = op.apply(inputs);
  Results out{y.value(), {}};
  if (!dy.defined()) return out;
  tape.backward(loss_of(y, dy.to(dtype)));
  for (const Var& input : inputs) out.gradients.push_back(input.grad().tensor);
  return out;
}

// Equal to the same op in double: plain loops, whose gradients the tests hold against differences.
bool is_right(const Op& op, const Tensor& dy) {
  const Results got = run_op(op, dy), wanted = run_op(op, dy, DType::f64);
  bool right = bench::relative_difference(got.value, wanted.value) < 1e-4;
  for (size_t i = 0; i < got.gradients.size(); ++i)
    right &= bench::relative_difference(got.gradients[i], wanted.gradients[i]) < 1e-4;
  return right;
}

// Seconds that sgemm needs for as many operations.
std::function<double()> sgemm_yardstick(const Step& s, double operations) {
  const int64_t t = s.tokens(), c = s.config.hidden_size, i = s.config.intermediate_size;
  const double products = operations / (2.0 * static_cast<double>(t * c * i));
  return [=, x = scattered({t, c}, 1), w = scattered({i, c}, 2),
          y = Tensor::uninitialized({t, i}, DType::f32)]() mutable {
    return products * bench::seconds_of([&] { gemm(Transpose::no, Transpose::yes, x, w, 0, y); });
  };
}

// Seconds that x += y needs to move as many numbers.
std::function<double()> stream_yardstick(double numbers) {
  const int64_t n = static_cast<int64_t>(numbers / 3);
  return [=, x = scattered({n}, 1), y = scattered({n}, 2)]() mutable {
    float* to = x.data<float>();
    const float* from = y.data<float>();
    return bench::seconds_of([&] {
      parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
        simd([&]() HT_INLINE {
          for (int64_t i = begin; i < end; ++i) to[i] += from[i];
        });
      });
    });
  };
}

// pass() gives its seconds.
void measure(benchmark::State& state, const Step& s, const Work& work,
             const std::function<double()>& pass) {
  const bool products = work.operations > 0;
  const std::function<double()> yardstick =
      products ? sgemm_yardstick(s, work.operations) : stream_yardstick(work.numbers);
  yardstick();
  pass();
  std::vector<double> own, limit;
  for (auto _ : state) {
    own.push_back(pass());
    limit.push_back(yardstick());
    state.SetIterationTime(own.back());
  }
  const double seconds = bench::median(own);
  state.counters[products ? "FLOP/s" : "bytes/s"] =
      (products ? work.operations : 4 * work.numbers) / seconds;
  state.counters[products ? "share_of_sgemm" : "share_of_stream"] = bench::median(limit) / seconds;
}

void run_pass(benchmark::State& state, const Step& s, const std::string& name, const Op& op,
              Pass pass) {
  const Tensor dy = scattered(run_op(op, {}).value.shape(), 9);
  if (!is_right(op, dy)) return state.SkipWithError("differs from the op in double");
  const bool forward = pass == Pass::forward;
  measure(state, s, forward ? op.forward : op.backward, [&] {
    OpTimes times;
    run_op(op, forward ? Tensor() : dy, DType::f32, &times);
    return times.totals().at({name, pass}).seconds;
  });
}

Work products(double operations) {
  return {.operations = operations, .numbers = 0};
}

Work moves(double numbers) {
  return {.operations = 0, .numbers = numbers};
}

// N x C rows in, rows out: `forward` and `backward` tensors of that size are moved.
Op row_op(std::vector<Tensor> inputs, double forward, double backward,
          std::function<Var(const std::vector<Var>&)> apply) {
  const double numbers = static_cast<double>(inputs[0].numel());
  return {std::move(inputs), std::move(apply), moves(forward * numbers), moves(backward * numbers)};
}

Op linear_op(int64_t t, int64_t in, int64_t out) {
  const double work = 2.0 * static_cast<double>(t * in * out);
  return {{scattered({t, in}, 1), scattered({out, in}, 2, 0.02f)},
          [](const auto& x) { return linear(x[0], x[1]); },
          products(work),
          products(2 * work)};
}

Op onebit_linear_op(int64_t t, int64_t in, int64_t out) {
  const double work = 2.0 * static_cast<double>(t * in * out);
  return {{scattered({t, in}, 1), scattered({out, in}, 2, 0.02f), scattered({in}, 3),
           scattered({out}, 4)},
          [](const auto& x) { return onebit_linear(x[0], x[1], x[2], x[3], {}, {}); },
          products(work),
          products(2 * work)};
}

// Groups of `group` inputs; 0: the whole row.
Op group_scaled_op(int64_t t, int64_t in, int64_t out, int64_t group) {
  const double work = 2.0 * static_cast<double>(t * in * out);
  return {{scattered({t, in}, 1), scattered({out, in}, 2, 0.02f),
           scattered({out, group ? in / group : 1}, 3)},
          [](const auto& x) { return group_scaled_linear(x[0], x[1], x[2], {}, Ste::tanh); },
          products(work),
          products(2 * work)};
}

Op attention_op(const Step& s) {
  const double work = 2.0 * static_cast<double>(s.tokens() * s.length * s.query_size());
  const AttentionShape shape{.batch = s.batch,
                             .query_length = s.length,
                             .key_length = s.length,
                             .heads = s.config.num_attention_heads,
                             .key_value_heads = s.config.num_key_value_heads,
                             .head_dim = s.config.head_dim};
  return {{scattered({s.tokens(), s.query_size()}, 1), scattered({s.tokens(), s.key_size()}, 2),
           scattered({s.tokens(), s.key_size()}, 3)},
          [shape](const auto& x) { return attention(x[0], x[1], x[2], shape); },
          products(work),
          products(2.5 * work)};  // five products for two
}

Op rotary_op(const Step& s) {
  const RotaryFrequencies frequencies = rope_frequencies(s.config, s.length);
  const RotaryTable narrow = make_rotary_table(s.length, frequencies, DType::f32),
                    wide = make_rotary_table(s.length, frequencies, DType::f64);
  return row_op({scattered({s.tokens(), s.query_size()}, 1)}, 2, 2,
                [=, heads = s.config.num_attention_heads, length = s.length](const auto& x) {
                  return rotary(x[0], x[0].dtype() == DType::f32 ? narrow : wide, heads, length);
                });
}

Op embedding_op(const Step& s) {
  const int64_t v = s.config.vocab_size, c = s.config.hidden_size;
  const std::vector<int32_t> ids = bench::random_ids(s.tokens(), v);
  const double rows = static_cast<double>(s.tokens() * c), table = static_cast<double>(v * c);
  return {{scattered({v, c}, 1)},
          [ids](const auto& x) { return embedding(ids, x[0]); },
          moves(2 * rows),
          moves(table + 3 * rows)};  // zeros, and rows added to them
}

// name = the op on the tape, and which of its uses
struct Entry {
  const char* name;
  std::string use;
  std::function<Op(const Step&)> make;
};

template <class Make>
void add_linears(std::vector<Entry>& entries, const char* name, Make make,
                 const std::string& kind = "") {
  entries.push_back({name, kind + "q", [=](const Step& s) {
                       return make(s.tokens(), s.config.hidden_size, s.query_size());
                     }});
  entries.push_back({name, kind + "k", [=](const Step& s) {
                       return make(s.tokens(), s.config.hidden_size, s.key_size());
                     }});
  entries.push_back({name, kind + "up", [=](const Step& s) {
                       return make(s.tokens(), s.config.hidden_size, s.config.intermediate_size);
                     }});
  entries.push_back({name, kind + "down", [=](const Step& s) {
                       return make(s.tokens(), s.config.intermediate_size, s.config.hidden_size);
                     }});
}

std::vector<Entry> entries() {
  const auto hidden = [](const Step& s, uint32_t seed) {
    return scattered({s.tokens(), s.config.hidden_size}, seed);
  };
  const auto inner = [](const Step& s, uint32_t seed) {
    return scattered({s.tokens(), s.config.intermediate_size}, seed);
  };
  std::vector<Entry> out{
      {"attention", "", attention_op},
      {"rms_norm", "",
       [=](const Step& s) {
         return row_op({hidden(s, 1), scattered({s.config.hidden_size}, 2)}, 2, 3,
                       [](const auto& x) { return rms_norm(x[0], x[1], 1e-5); });
       }},
      {"layer_norm", "",
       [=](const Step& s) {
         return row_op({hidden(s, 1)}, 2, 3, [](const auto& x) { return layer_norm(x[0], 1e-5); });
       }},
      {"gated", "",
       [=](const Step& s) {
         return row_op({inner(s, 1), inner(s, 2)}, 3, 5,
                       [](const auto& x) { return gated(x[0], x[1], Activation::silu); });
       }},
      {"rotary", "", rotary_op},
      {"embedding", "", embedding_op},
      {"normalised_mse", "", [=](const Step& s) {
         return row_op({hidden(s, 1)}, 2, 3, [t = hidden(s, 2)](const auto& x) {
           return normalised_mse(x[0], t.to(x[0].dtype()));
         });
       }}};
  add_linears(out, "linear", linear_op);
  add_linears(out, "onebit_linear", onebit_linear_op);
  for (const int64_t group : {0, 64})
    add_linears(
        out, "group_scaled_linear",
        [group](int64_t t, int64_t i, int64_t o) { return group_scaled_op(t, i, o, group); },
        group ? "group_" : "row_");
  return out;
}

// On the embedding, the largest parameter.
void run_adamw(benchmark::State& state, const Step& s) {
  const Shape shape{s.config.vocab_size, s.config.hidden_size};
  Param p{.name = "embedding", .value = scattered(shape, 1), .grad = {scattered(shape, 2), true}};
  std::vector<Moments> moments{
      {Tensor::zeros(shape, DType::f32), Tensor::zeros(shape, DType::f32)}};
  Tensor flips = Tensor::zeros({}, DType::f64);
  const AdamWSettings settings;
  const double rate = 1e-3, before = p.value.data<float>()[7], g = p.grad.tensor.data<float>()[7];
  adamw_step({&p}, moments, 1, rate, 0.5, settings, flips);
  // The moments of a first step, without their bias, are g and g^2.
  const double wanted = before * (1 - rate * settings.weight_decay) -
                        rate * g / (std::abs(g) + settings.epsilon / 0.5);
  if (std::abs(p.value.data<float>()[7] - wanted) > 1e-6) state.SkipWithError("a wrong update");
  measure(state, s, moves(7 * static_cast<double>(p.value.numel())), [&] {
    return bench::seconds_of([&] { adamw_step({&p}, moments, 2, rate, 0.5, settings, flips); });
  });
}

void run_gradient_norm(benchmark::State& state, const Step& s) {
  const Shape shape{s.config.vocab_size, s.config.hidden_size};
  Param p{.name = "embedding", .value = {}, .grad = {scattered(shape, 2), true}};
  double wanted = 0, got = 0;
  for (int64_t i = 0; i < p.grad.tensor.numel(); ++i)
    wanted += std::pow(static_cast<double>(p.grad.tensor.data<float>()[i]), 2);
  measure(state, s, moves(static_cast<double>(p.grad.tensor.numel())),
          [&] { return bench::seconds_of([&] { got = squared_gradient_norm({&p}); }); });
  if (std::abs(got - wanted) > 1e-5 * wanted) state.SkipWithError("a wrong norm");
}

void register_benches() {
  const auto add = [](const std::string& name, const auto& body) {
    benchmark::RegisterBenchmark(name.c_str(), body)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  };
  for (const Step& s : {Step{"smol", bench::smollm2_135m(), 1, 512},
                        Step{"quickstart", bench::quickstart(), 8, 256}}) {
    for (const Entry& e : entries()) {
      const std::string name = s.name + "/" + e.name + (e.use.empty() ? "" : "/") + e.use;
      for (const Pass pass : {Pass::forward, Pass::backward})
        add(name + (pass == Pass::forward ? "/forward" : "/backward"),
            [=](benchmark::State& state) { run_pass(state, s, e.name, e.make(s), pass); });
    }
    add(s.name + "/adamw", [=](benchmark::State& state) { run_adamw(state, s); });
    add(s.name + "/gradient_norm", [=](benchmark::State& state) { run_gradient_norm(state, s); });
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  halftone::register_benches();
  return halftone::bench::run(argc, argv);
}
