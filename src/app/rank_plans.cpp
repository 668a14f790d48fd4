#include "app/rank_plans.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "app/console.h"
#include "halftone/base/error.h"

namespace halftone {
namespace {

constexpr double kMegabyte = 1e6, kGigabyte = 1e9;

RanksShape ranks_shape(const Recipe& recipe, const CheckOptions& options, int64_t ranks) {
  return {.ranks = ranks,
          .shard_parameters = recipe.train.shard_parameters,
          .micro_batches = recipe.train.gradient_accumulation_steps,
          .flop_per_second = 1e9 * options.gflops,
          .bytes_per_second = 1e9 * options.gbytes,
          .latency_seconds = 1e-6 * options.latency};
}

double seconds_of(const RankPlan& plan) {
  return plan.compute_seconds + plan.wait_seconds;
}

// Settings of a recipe that change where a training's numbers lie, and none of its bits.
struct Placement {
  bool gradient_checkpointing, shard_parameters;
  const char* text;
};
constexpr Placement kPlacements[] = {
    {false, false, "neither"},
    {true, false, "gradient_checkpointing"},
    {true, true, "and shard_parameters"},
};

}  // namespace

double memory_size(const std::string& text) {
  constexpr std::string_view kUnits = "KMGT";
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, fault] = std::from_chars(text.data(), end, number);
  const size_t unit = rest == end ? 0 : kUnits.find(*rest) + 1;  // npos + 1: none of them
  const bool whole = rest == end || (unit > 0 && rest + 1 == end);
  if (fault != std::errc() || !whole || !std::isfinite(number) || number <= 0)
    throw_error(ErrorKind::recipe,
                "--memory: found '{}', bytes above 0 expected, as 80G, 512M or 1000000000",
                printable(text));
  return number * std::pow(1000.0, static_cast<double>(unit));
}

void print_ranks(const Recipe& recipe, const DecoderSpec& spec, const TrainingShape& shape,
                 const CheckOptions& options) {
  print(
      "# at {:g} GFLOP/s a rank, {:g} GB/s and {:g} us a message; MB that a rank holds:\n"
      "#  ranks  weights   states  gradients  activations  teacher  sent MB/step  messages  "
      "s/step   tokens/s  efficiency\n",
      options.gflops, options.gbytes, options.latency);
  for (int64_t ranks = 1;; ranks = std::min(2 * ranks, options.ranks)) {
    const RanksShape of = ranks_shape(recipe, options, ranks);
    const RankPlan plan = plan_rank(spec, shape, of);
    print(
        "# {:6} {:8.0f} {:8.0f} {:10.0f} {:12.0f} {:8.0f} {:13.0f} {:9.0f} {:7.2f} {:10.0f} "
        "{:10.1f}%\n",
        ranks, plan.weights / kMegabyte, plan.states / kMegabyte, plan.gradients / kMegabyte,
        plan.activations / kMegabyte, plan.teacher / kMegabyte, plan.sent_bytes / kMegabyte,
        plan.messages, seconds_of(plan),
        static_cast<double>(shape.tokens * of.micro_batches * ranks) / seconds_of(plan),
        100 * plan.efficiency());
    if (ranks == options.ranks) return;
  }
}

void print_placements(const Recipe& recipe, const DecoderSpec& spec, const TrainingShape& shape,
                      const CheckOptions& options) {
  const double memory = memory_size(options.memory.value());
  print(
      "# {} ranks of {:.2f} GB; GB that a rank holds, by what train.* sets:\n"
      "# set                     teacher  weights  gradients   states  activations      sum  fits  "
      "sent GB/step   s/step\n",
      options.ranks, memory / kGigabyte);
  const Placement* first = nullptr;  // that fits
  double least = 0;
  bool own_fits = false;
  for (const Placement& way : kPlacements) {
    TrainingShape there = shape;
    there.gradient_checkpointing = way.gradient_checkpointing;
    RanksShape of = ranks_shape(recipe, options, options.ranks);
    of.shard_parameters = way.shard_parameters;
    const RankPlan plan = plan_rank(spec, there, of);
    const bool fits = plan.bytes() <= memory;
    if (fits && !first) first = &way;
    if (way.gradient_checkpointing == recipe.train.gradient_checkpointing &&
        way.shard_parameters == recipe.train.shard_parameters)
      own_fits = fits;
    least = least == 0 ? plan.bytes() : std::min(least, plan.bytes());
    print("# {:22} {:8.2f} {:8.2f} {:10.2f} {:8.2f} {:12.2f} {:8.2f} {:>5} {:13.2f} {:8.2f}\n",
          way.text, plan.teacher / kGigabyte, plan.weights / kGigabyte, plan.gradients / kGigabyte,
          plan.states / kGigabyte, plan.activations / kGigabyte, plan.bytes() / kGigabyte,
          fits ? "yes" : "no", plan.sent_bytes / kGigabyte, seconds_of(plan));
  }
  if (own_fits) return print("# fits               as the recipe is\n");
  if (!first)
    return print(
        "# fits               nothing of this: {:.2f} GB a rank at least; more ranks, or fewer or "
        "shorter sequences (train.per_device_train_batch_size, data.max_seq_length)\n",
        least / kGigabyte);
  std::string set;
  for (const auto& [key, now, then] :
       {std::tuple("gradient_checkpointing", recipe.train.gradient_checkpointing,
                   first->gradient_checkpointing),
        std::tuple("shard_parameters", recipe.train.shard_parameters, first->shard_parameters)})
    if (now != then) set += fmt::format("{}train.{} = {}", set.empty() ? "" : " and ", key, then);
  print("# fits               with {}\n", set);
  if (first->shard_parameters && shape.device != Device::cpu)
    print("#                    which runs on CPUs alone (run.device = \"cpu\")\n");
}

}  // namespace halftone
