#include "op_cases.h"

#include <numeric>

#include "halftone/ops/activation.h"
#include "halftone/ops/attention.h"
#include "halftone/ops/elementwise.h"
#include "halftone/ops/embedding.h"
#include "halftone/ops/group_norm.h"
#include "halftone/ops/group_scaled_linear.h"
#include "halftone/ops/head_loss.h"
#include "halftone/ops/joined_linear.h"
#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"
#include "halftone/ops/losses.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/ops/rms_norm.h"
#include "halftone/ops/rotary.h"
#include "ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

std::vector<int32_t> some_ids(int64_t n, int32_t vocabulary, uint64_t seed) {
  std::vector<int32_t> out;
  Rng rng(seed, RngStream::test);
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>(rng.uniform() * vocabulary));
  return out;
}

void add_elementwise(std::vector<OpCase>& out) {
  out.push_back(
      {"add", {random_tensor({7, 13}, 1), random_tensor({7, 13}, 2)}, 2, [](Tape&, const Vars& x) {
         return add(x[0], x[1]);
       }});
  out.push_back({"scale", {random_tensor({16, 64}, 1)}, 1, [](Tape&, const Vars& x) {
                   return scale(x[0], -1.5);
                 }});
  const std::pair<const char*, Activation> functions[] = {
      {"silu", Activation::silu}, {"relu", Activation::relu}, {"gelu_tanh", Activation::gelu_tanh}};
  for (const auto& [name, f] : functions)
    for (const int64_t width : {33, 64}) {
      out.push_back({fmt::format("activate {} {}", name, width),
                     {random_tensor({5, width}, 3)},
                     1,
                     [f = f](Tape&, const Vars& x) { return activate(x[0], f); }});
      out.push_back({fmt::format("gated {} {}", name, width),
                     {random_tensor({5, width}, 4), random_tensor({5, width}, 5)},
                     2,
                     [f = f](Tape&, const Vars& x) { return gated(x[0], x[1], f); }});
    }
  // One input of two terms: a gradient that others add to.
  out.push_back({"gated of one input", {random_tensor({9, 40}, 6)}, 1, [](Tape&, const Vars& x) {
                   return add(gated(x[0], x[0], Activation::silu), x[0]);
                 }});
}

void add_norms(std::vector<OpCase>& out) {
  for (const int64_t width : {48, 577, 2048}) {
    out.push_back({fmt::format("rms_norm {}", width),
                   {random_tensor({131, width}, 1), random_tensor({width}, 2)},
                   1,
                   [](Tape&, const Vars& x) { return rms_norm(x[0], x[1], 1e-5); }});
    out.push_back({fmt::format("layer_norm {}", width),
                   {random_tensor({131, width}, 3)},
                   1,
                   [](Tape&, const Vars& x) { return layer_norm(x[0], 1e-5); }});
    out.push_back(
        {fmt::format("layer_norm with gain {}", width),
         {random_tensor({131, width}, 3), random_tensor({width}, 4), random_tensor({width}, 5)},
         1,
         [](Tape&, const Vars& x) { return layer_norm(x[0], x[1], x[2], 1e-5); }});
  }
  out.push_back({"rms_norm of heads, gain from 1",
                 {random_tensor({10, 3 * 64}, 1), random_tensor({64}, 2)},
                 1,
                 [](Tape&, const Vars& x) { return rms_norm(x[0], x[1], 1e-6, 1.0); }});
  out.push_back({"rms_norm twice",
                 {random_tensor({70, 64}, 1), random_tensor({64}, 2)},
                 1,
                 [](Tape&, const Vars& x) {
                   return add(rms_norm(x[0], x[1], 1e-5), rms_norm(x[0], x[1], 1e-5));
                 }});
}

void add_linears(std::vector<OpCase>& out) {
  const Tensor x = random_tensor({37, 48}, 1), w = random_tensor({40, 48}, 2, 0.2),
               bias = random_tensor({40}, 3);
  out.push_back({"linear", {x, w}, 1, [](Tape&, const Vars& v) { return linear(v[0], v[1]); }});
  out.push_back({"linear with bias", {x, w, bias}, 1, [](Tape&, const Vars& v) {
                   return linear(v[0], v[1], v[2]);
                 }});
  out.push_back(
      {"linear with bias, many rows",
       {random_tensor({2100, 24}, 1), random_tensor({33, 24}, 2, 0.2), random_tensor({33}, 3)},
       1,
       [](Tape&, const Vars& v) { return linear(v[0], v[1], v[2]); }});
  const std::pair<const char*, Ste> factors[] = {
      {"tanh", Ste::tanh}, {"identity", Ste::identity}, {"clipped", Ste::clipped}};
  for (const auto& [name, ste] : factors)
    for (const bool norm : {false, true})
      out.push_back({fmt::format("onebit_linear {}{}", name, norm ? " normed" : ""),
                     {x, w, random_tensor({48}, 4), random_tensor({40}, 5), bias},
                     1,
                     [ste = ste, norm](Tape&, const Vars& v) {
                       return onebit_linear(v[0], v[1], v[2], v[3], v[4],
                                            {.post_layer_norm = norm, .ste = ste});
                     },
                     false});
  out.push_back(
      {"onebit_linear twice",
       {x, random_tensor({48, 48}, 2, 0.2), random_tensor({48}, 4), random_tensor({48}, 5)},
       1,
       [](Tape&, const Vars& v) {
         const OneBitOptions plain{.post_layer_norm = false};
         const Var y = onebit_linear(v[0], v[1], v[2], v[3], {}, plain);
         return add(onebit_linear(y, v[1], v[2], v[3], {}, plain), v[0]);
       },
       false});
  for (const int64_t groups : {1, 3})
    out.push_back({fmt::format("group_scaled_linear {}", groups),
                   {x, w, random_tensor({40, groups}, 4), bias},
                   1,
                   [](Tape&, const Vars& v) {
                     return group_scaled_linear(v[0], v[1], v[2], v[3], Ste::tanh);
                   },
                   false});
}

// What reads an rms_norm's output in its backward may have it made again.
void add_joined(std::vector<OpCase>& out) {
  const Tensor x = random_tensor({37, 48}, 1), gain = random_tensor({48}, 8);
  out.push_back(
      {"joined onebit_linear of a norm",
       {x, random_tensor({37, 64}, 9), gain, random_tensor({40, 48}, 2, 0.2),
        random_tensor({48}, 4), random_tensor({40}, 5), random_tensor({24, 48}, 6, 0.2),
        random_tensor({48}, 7), random_tensor({24}, 3)},
       2,
       [](Tape&, const Vars& v) {
         return joined_linear(
             rms_norm(v[0], v[2], 1e-5),
             {onebit_matrix(v[3], v[4], v[5], {.post_layer_norm = false, .ste = Ste::tanh}),
              onebit_matrix(v[6], v[7], v[8], {.post_layer_norm = false, .ste = Ste::tanh})},
             v[1]);
       },
       false});
  out.push_back({"joined group_scaled_linear",
                 {x, random_tensor({40, 48}, 2, 0.2), random_tensor({40, 3}, 4),
                  random_tensor({24, 48}, 6, 0.2), random_tensor({24, 1}, 5)},
                 1,
                 [](Tape&, const Vars& v) {
                   return joined_linear(v[0], {group_scaled_matrix(v[1], v[2], Ste::tanh),
                                               group_scaled_matrix(v[3], v[4], Ste::identity)});
                 },
                 false});
  const Tensor w = random_tensor({40, 48}, 2, 0.2);
  out.push_back(
      {"joined linear", {x, w, random_tensor({24, 48}, 6, 0.2)}, 1, [](Tape&, const Vars& v) {
         return joined_linear(v[0], {dense_matrix(v[1]), dense_matrix(v[2])});
       }});
  out.push_back({"norm of a joined linear made again",
                 {x, random_tensor({37, 48}, 9), gain, random_tensor({48, 48}, 3, 0.2), w},
                 2,
                 [](Tape&, const Vars& v) {
                   const Var y = joined_linear_again(v[0], {dense_matrix(v[3])}, v[1]);
                   return joined_linear(rms_norm(y, v[2], 1e-5), {dense_matrix(v[4])});
                 }});
  const auto with_norms = [](const Vars& v, size_t at) {
    return onebit_matrix(v[at], v[at + 1], v[at + 2], {});
  };
  out.push_back(
      {"joined onebit_linear with norms",
       {x, random_tensor({40, 48}, 2, 0.2), random_tensor({48}, 4), random_tensor({40}, 5),
        random_tensor({24, 48}, 6, 0.2), random_tensor({48}, 7), random_tensor({24}, 3)},
       1,
       [=](Tape&, const Vars& v) {
         return joined_linear(v[0], {with_norms(v, 1), with_norms(v, 4)});
       },
       false});
  out.push_back({"norm of a joined onebit_linear with a norm made again",
                 {x, random_tensor({37, 48}, 9), gain, random_tensor({48, 48}, 3, 0.2),
                  random_tensor({48}, 4), random_tensor({48}, 5)},
                 2,
                 [=](Tape&, const Vars& v) {
                   return rms_norm(joined_linear_again(v[0], {with_norms(v, 3)}, v[1]), v[2], 1e-5);
                 },
                 false});
  // Widths of whole packs up to 2,048 and of none.
  for (const int64_t width : {7, 48, 600, 1544, 2056}) {
    const Tensor up_gate = random_tensor({9, 2 * width}, 1);
    out.push_back({fmt::format("group_norm {}", width),
                   {up_gate, random_tensor({9, 2 * width}, 2)},
                   2,
                   [=](Tape&, const Vars& v) {
                     return group_norm(v[0], {width, width}, 1e-5, v[1]);
                   }});
    out.push_back({fmt::format("joined linear behind a gate of norms {}", width),
                   {up_gate, random_tensor({9, 40}, 9), random_tensor({40, width}, 2, 0.2)},
                   2,
                   [](Tape&, const Vars& v) {
                     return gated_joined_linear(v[0], 1e-5, Activation::silu, {dense_matrix(v[2])},
                                                v[1]);
                   }});
  }
  out.push_back({"joined linear behind a gate",
                 {random_tensor({37, 96}, 1), random_tensor({37, 40}, 9), w},
                 2,
                 [](Tape&, const Vars& v) {
                   return gated_joined_linear(v[0], 0, Activation::silu, {dense_matrix(v[2])},
                                              v[1]);
                 }});
}

void add_tables(std::vector<OpCase>& out) {
  const std::vector<int32_t> ids = some_ids(90, 17, 1);
  out.push_back({"embedding", {random_tensor({17, 24}, 1)}, 0, [ids](Tape&, const Vars& w) {
                   return embedding(ids, w[0]);
                 }});
  out.push_back({"add_positions",
                 {random_tensor({12, 20}, 1), random_tensor({9, 20}, 2)},
                 1,
                 [](Tape&, const Vars& v) { return add_positions(v[0], v[1], 6, 2); }});
  for (const int64_t half : {5, 32}) {
    RotaryFrequencies frequencies{.inverse = {}, .factor = 1};
    for (int64_t i = 0; i < half; ++i) frequencies.inverse.push_back(1.0 / (1.0 + i));
    for (const int64_t behind : {0, 8})
      out.push_back({fmt::format("rotary {} before {}", half, behind),
                     {random_tensor({12, 3 * 2 * half + behind}, 1)},
                     1,
                     [=](Tape&, const Vars& v) {
                       RotaryTable table =
                           make_rotary_table(16, frequencies, sum_dtype(v[0].dtype()));
                       table = {table.cos.to(v[0].device()), table.sin.to(v[0].device())};
                       return rotary(v[0], table, 3, 6, 2);
                     }});
  }
}

void add_attention(std::vector<OpCase>& out) {
  const auto add_case = [&](const char* name, const AttentionShape& s) {
    const Shape q{s.batch * s.query_length, s.heads * s.head_dim},
        k{s.batch * s.key_length, s.key_value_heads * s.head_dim};
    out.push_back({fmt::format("attention {}", name),
                   {random_tensor(q, 1), random_tensor(k, 2), random_tensor(k, 3)},
                   3,
                   [s](Tape&, const Vars& v) { return attention(v[0], v[1], v[2], s); }});
    if (s.query_length == s.key_length)
      out.push_back({fmt::format("attention {} of one tensor", name),
                     {random_tensor({q[0], q[1] + 2 * k[1]}, 1)},
                     1,
                     [s](Tape&, const Vars& v) { return attention(v[0], s); }});
  };
  AttentionShape s{.batch = 2,
                   .query_length = 70,
                   .key_length = 70,
                   .heads = 2,
                   .key_value_heads = 1,
                   .head_dim = 12};
  add_case("of odd heads", s);
  s.window = 9;
  add_case("with a window", s);
  s = {.batch = 2,
       .query_length = 150,
       .key_length = 150,
       .heads = 4,
       .key_value_heads = 2,
       .head_dim = 64};
  add_case("64", s);
  s.window = 70;
  s.scale = 0.2;
  add_case("64 with a window", s);
  s = {.batch = 1,
       .query_length = 64,
       .key_length = 128,
       .heads = 2,
       .key_value_heads = 2,
       .head_dim = 64};
  add_case("64 behind others", s);
  s = {.batch = 1,
       .query_length = 130,
       .key_length = 130,
       .heads = 2,
       .key_value_heads = 1,
       .head_dim = 128};
  add_case("128", s);
}

void add_losses(std::vector<OpCase>& out) {
  for (const int64_t width : {48, 577}) {
    const Tensor t = random_tensor({67, width}, 9);
    out.push_back({fmt::format("normalised_mse {}", width),
                   {random_tensor({67, width}, 1)},
                   1,
                   [t](Tape&, const Vars& x) { return normalised_mse(x[0], beside(x[0], t)); }});
    out.push_back({fmt::format("mse {}", width),
                   {random_tensor({67, width}, 1)},
                   1,
                   [t](Tape&, const Vars& x) { return mse(x[0], beside(x[0], t)); }});
  }
  const int64_t n = 29, v = 1000, c = 32;
  const Tensor x = random_tensor({n, c}, 1), w = random_tensor({v, c}, 2, 0.3),
               t = random_tensor({n, c}, 3), tw = random_tensor({v, c}, 4, 0.3);
  const std::vector<int32_t> targets = [] {
    std::vector<int32_t> ids = some_ids(29, 1000, 5);
    ids[3] = ids[28] = kIgnoredTarget;
    return ids;
  }();
  const auto head = [&](const char* name, const HeadLossSettings& s, bool taught, bool labelled) {
    out.push_back({fmt::format("head_loss {}", name), {x, w}, 1, [=](Tape&, const Vars& in) {
                     HeadTeacher teacher{beside(in[0], t), beside(in[0], tw), {}};
                     return head_loss(in[0], in[1], taught ? &teacher : nullptr,
                                      labelled ? &targets : nullptr, s)
                         .loss;
                   }});
  };
  head("of a teacher", {.kl_weight = 5, .chunk_tokens = 8}, true, false);
  head("of labels", {.kl_weight = 0, .label_weight = 1, .chunk_tokens = 8}, false, true);
  head("of both, warm",
       {.kl_weight = 2, .kl_temperature = 2, .label_weight = 0.5, .chunk_tokens = 29}, true, true);
  for (const int64_t k : {7, 1000}) {
    const TopLogProbs top = top_log_probs(t.to(DType::f32), tw.to(DType::f32), k, 1.5);
    out.push_back(
        {fmt::format("head_loss of {} likeliest", k), {x, w}, 1, [=](Tape&, const Vars& in) {
           HeadTeacher teacher{{}, {}, top};
           return head_loss(in[0], in[1], &teacher, &targets,
                            {.kl_weight = 2,
                             .kl_temperature = 1.5,
                             .label_weight = 0.5,
                             .chunk_tokens = 16})
               .loss;
         }});
  }
}

}  // namespace

Tensor beside(const Var& x, const Tensor& constant) {
  return constant.to(x.dtype()).to(x.device());
}

std::vector<OpCase> op_cases() {
  std::vector<OpCase> out;
  add_elementwise(out);
  add_norms(out);
  add_linears(out);
  add_joined(out);
  add_tables(out);
  add_attention(out);
  add_losses(out);
  return out;
}

}  // namespace halftone
