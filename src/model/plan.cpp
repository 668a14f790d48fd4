// Planning: sums over the slots of a DecoderSpec.
#include "halftone/model/plan.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "halftone/model/spec.h"
#include "halftone/ops/head_loss.h"
#include "halftone/tensor/exchange.h"

namespace halftone {
namespace {

// Of a rank: buckets whose numbers are held for others, operations of backward a weight and token
// (of blocks that are computed twice, their second forward too), and collective calls of a step for
// losses, norm, flipped signs and whether to stop.
constexpr double kBucketsUnderWay = 8, kBackwardFlop = 4, kRecomputeFlop = 2, kGathers = 10;

// Calls visit(slot) for every linear.
template <class Visit>
void for_each_linear(const DecoderSpec& spec, const Visit& visit) {
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots)
      if (!slot.is_norm()) visit(slot);
}

// Numbers a token that one block of the student keeps for backward: the inputs of its norms of
// whole rows, what the linears read of them, the rotated heads, what attention mixed, the MLP's
// gate, up and product; with a layer normalisation behind the linears also its output, where
// nothing else keeps it; the teacher's hidden state. Where linears are joined (ops/joined_linear.h)
// what they read is made again, and so is the sum behind attention; normalisations keep their
// input.
int64_t kept_numbers(const DecoderSpec& spec, const TrainingShape& shape) {
  const BlockSpec& block = spec.blocks.front();
  const int64_t h = spec.hidden_size, q = block.slot(SlotRole::q).out,
                kv = block.slot(SlotRole::k).out, f = block.slot(SlotRole::up).out;
  const auto norms = std::ranges::count_if(
      block.slots, [&](const Slot& slot) { return slot.is_norm() && slot.out == h; });
  const bool joined =
      shape.device == Device::cuda &&
      std::ranges::none_of(block.slots, [](const Slot& s) { return !s.is_norm() && s.bias; });
  const bool sum_again = joined && !block.has(SlotRole::attention_out_norm);
  return (norms + (joined ? 0 : 2) - (sum_again ? 1 : 0)) * h + 2 * (q + kv) +
         (block.has(SlotRole::gate) && !joined ? 3 : 2) * f +
         (shape.post_layer_norm ? q + (joined ? 2 : 1) * kv + 2 * h : 0) + (shape.teacher ? h : 0);
}

// Numbers of the parameters: of all, of the blocks, of the largest block, of the largest parameter,
// and of the largest in a block; and how many linears the blocks have.
struct Numbers {
  double all = 0, of_blocks = 0, of_block = 0, largest = 0, largest_of_block = 0, linears = 0;
};

Numbers numbers_of(const DecoderSpec& spec) {
  Numbers out;
  std::map<int64_t, double> blocks;
  for (const ExpectedWeight& weight : expected_weights(spec)) {
    const auto n = static_cast<double>(numel(weight.shape));
    out.all += n;
    out.largest = std::max(out.largest, n);
    if (weight.layer < 0) continue;
    out.of_blocks += n;
    out.largest_of_block = std::max(out.largest_of_block, n);
    out.of_block = std::max(out.of_block, blocks[weight.layer] += n);
  }
  for_each_linear(spec, [&](const Slot&) { ++out.linears; });
  return out;
}

}  // namespace

double MemoryPlan::total() const {
  return teacher + student + std::max(activations + logits, gradients + of_block);
}

MemoryPlan plan_training(const DecoderSpec& spec, const TrainingShape& shape) {
  const auto parameters = static_cast<double>(parameter_count(spec));
  const auto layers = static_cast<double>(spec.blocks.size()),
             tokens = static_cast<double>(shape.tokens);
  MemoryPlan plan;
  if (shape.teacher) plan.teacher = shape.teacher_bytes * parameters;
  plan.student = 12.0 * parameters;  // weight and two moments in F32
  plan.gradients = 4.0 * parameters;
  plan.of_block = shape.number_bytes * tokens * static_cast<double>(kept_numbers(spec, shape));
  plan.activations = layers * plan.of_block;
  if (shape.gradient_checkpointing)  // the inputs of the blocks, in place of one the whole block
    plan.activations = shape.number_bytes * tokens * layers *
                           static_cast<double>((shape.teacher ? 2 : 1) * spec.hidden_size) +
                       plan.of_block;
  const double chunk =
      std::min(tokens, static_cast<double>(head_chunk_tokens(spec.vocab_size, shape.device)));
  plan.logits =
      shape.number_bytes * chunk * static_cast<double>(spec.vocab_size) * (shape.teacher ? 2 : 1) +
      4.0 * static_cast<double>(spec.vocab_size * spec.embedding_size);
  return plan;
}

MemoryPlan plan_quantising(const DecoderSpec& spec, double teacher_bytes, int64_t tokens) {
  int64_t most = 0;
  for_each_linear(spec, [&](const Slot& slot) { most = std::max({most, slot.in, slot.out}); });
  const auto parameters = static_cast<double>(parameter_count(spec)),
             hidden = static_cast<double>(spec.hidden_size), widest = static_cast<double>(most);
  // A dense copy, the activations before and after a block, and F64 matrices of the widest linear:
  // the Hessians of a block, the damped one, its factor, the weight twice.
  MemoryPlan plan;
  plan.teacher = teacher_bytes * parameters;
  plan.student = 4.0 * parameters;
  plan.activations = 3 * 4.0 * static_cast<double>(tokens) * hidden +
                     8.0 * (3 * hidden * hidden + 4 * widest * widest + 2 * widest * hidden);
  return plan;
}

double plan_start(const DecoderSpec& spec, StudentStart start, bool warm_start, int64_t tokens) {
  // Inputs and outputs of the teacher's block; of the student's, whose outputs are there twice.
  const double states = warm_start ? 5 : 2;
  const double bytes = 4 * states * static_cast<double>(tokens * spec.hidden_size);
  if (start == StudentStart::svid) return bytes;
  std::map<int, std::pair<int64_t, int64_t>> sets;  // outputs and inputs of one input group
  for (const Slot& slot : spec.blocks.front().slots)
    if (!slot.is_norm()) {
      sets[slot.input_group].first += slot.out;
      sets[slot.input_group].second = slot.in;
    }
  double hessians = 0, most = 0;
  for (const auto& [group, set] : sets) {
    const auto [out, in] =
        std::pair(static_cast<double>(set.first), static_cast<double>(set.second));
    hessians += in * in;
    // W, signs, a copy of both, A and its slopes; A^T A, the system, damped, and its factor.
    most = std::max(most, 6 * out * in + 4 * in * in);
  }
  return bytes + 8 * (hessians + most);
}

BitsPlan plan_onebit(const DecoderSpec& spec, const StudentSettings& student) {
  int64_t weights = 0, scales = 0;
  for_each_linear(spec, [&](const Slot& slot) {
    weights += slot.out * slot.in;
    if (student.scale_group > 0)
      scales += slot.out * (slot.in / student.scale_group);
    else
      scales += slot.out + (student.foldable ? 0 : slot.in);
  });
  const int64_t parameters = parameter_count(spec);
  const auto n = static_cast<double>(weights);
  return {1.0 + 16.0 * static_cast<double>(scales) / n,
          (n + 16.0 * static_cast<double>(scales + parameters - weights)) /
              static_cast<double>(parameters)};
}

double plan_low_bits(const DecoderSpec& spec, const LowBitLayout& layout, double salient) {
  double bits = 0, weights = 0;
  for_each_linear(spec, [&](const Slot& slot) {
    bits += static_cast<double>(planned_bits(layout, slot.out, slot.in,
                                             std::lround(salient * static_cast<double>(slot.in))));
    weights += static_cast<double>(slot.out * slot.in);
  });
  return bits / weights;
}

double plan_flop(const DecoderSpec& spec, const TrainingShape& shape, int64_t trained_tokens,
                 int64_t teacher_tokens) {
  const double each =
      6.0 + (shape.gradient_checkpointing ? 2.0 : 0.0) + (shape.teacher ? 2.0 : 0.0);
  return static_cast<double>(parameter_count(spec)) *
         (static_cast<double>(trained_tokens) * each + 2.0 * static_cast<double>(teacher_tokens));
}

RankPlan plan_rank(const DecoderSpec& spec, const TrainingShape& shape, const RanksShape& of) {
  const MemoryPlan one = plan_training(spec, shape);
  const Numbers n = numbers_of(spec);
  const auto ranks = static_cast<double>(of.ranks);
  const double bucket = static_cast<double>(exchanged_numbers(shape.device, of.ranks)),
               others = ranks - 1, share = others / ranks;
  const bool in_parts = of.shard_parameters && of.ranks > 1;
  const double kept = in_parts ? n.all - n.of_blocks * share : n.all,
               gathered = in_parts ? 4.0 * n.of_block : 0;
  RankPlan out{.teacher = one.teacher * kept / n.all,
               .weights = 4.0 * kept + gathered,
               .states = 8.0 * n.all / ranks,
               .gradients = 4.0 * n.all / ranks,
               .activations = one.activations + one.logits};
  const auto micro_batches = static_cast<double>(of.micro_batches);
  out.compute_seconds =
      micro_batches * plan_flop(spec, shape, shape.tokens, 0) / of.flop_per_second;
  if (of.ranks == 1) return out;

  // What is sent and received of gradients: of a few buckets, which are as large as a matrix at
  // least. Those of a block that is computed again come together: they are exchanged beside the
  // next block's, or, in parts, before the next one is gathered, with what a bucket has of other
  // blocks.
  const double block = 4.0 * n.of_block;
  double exchanged = kBucketsUnderWay * 4.0 * std::min(std::max(bucket, n.largest_of_block), n.all);
  if (in_parts)
    exchanged =
        std::max(0.0, 2 * (block + 4.0 * std::min(bucket, n.of_blocks)) - gathered - one.of_block);
  else if (shape.gradient_checkpointing)
    exchanged = std::max({exchanged, 2 * block, 3 * block - one.of_block});
  // The embedding's are the last, when activations are gone.
  out.gradients += std::max(exchanged, 2 * 4.0 * n.largest - out.activations);

  struct Sent {
    double bytes, messages;
  };
  const auto buckets_of = [&](double numbers) { return std::ceil(numbers / bucket); };
  const double beside = in_parts ? n.all - n.of_blocks : n.all;
  const Sent gradients{4.0 * n.all * share, buckets_of(n.all) * others},
      values{4.0 * beside * share, buckets_of(beside) * others};
  Sent gathers{0, 0};  // the student's for forward and for backward, the teacher's once
  if (in_parts)
    gathers = {(2 * 4.0 + (shape.teacher ? shape.teacher_bytes : 0)) * n.of_blocks * share,
               (shape.teacher ? 3 : 2) * n.linears * others};
  out.sent_bytes = micro_batches * (gradients.bytes + gathers.bytes) + values.bytes;
  out.messages = micro_batches * (gradients.messages + gathers.messages) + values.messages;
  const auto seconds = [&](const Sent& sent) {
    return sent.messages * of.latency_seconds + sent.bytes / of.bytes_per_second;
  };
  // Backward hides all but the last bucket, as far as it lasts; in parts it waits for each block.
  const double each = kBackwardFlop + (shape.gradient_checkpointing ? kRecomputeFlop : 0.0),
               backward = each * n.all * static_cast<double>(shape.tokens) / of.flop_per_second,
               hidden = in_parts ? 0
                                 : std::min(backward, seconds(gradients)) *
                                       (buckets_of(n.all) - 1) / buckets_of(n.all);
  out.wait_seconds = micro_batches * (seconds(gradients) - hidden + seconds(gathers)) +
                     seconds(values) + kGathers * std::ceil(std::log2(ranks)) * of.latency_seconds;
  return out;
}

}  // namespace halftone
