// A block's parameters in parts: gathered where it runs, and let go behind it.
#include "halftone/train/block_shards.h"

#include <set>

#include "halftone/ops/adamw.h"

namespace halftone {
namespace {

constexpr int kTag = 0;  // those of gradients are others

// Shape, dtype and device of a tensor. Whoever asks for its numbers is refused.
Tensor without_numbers(const Tensor& tensor) {
  return Tensor::of({.owner = std::make_shared<char>(),
                     .bytes = tensor.bytes(),
                     .device = tensor.device(),
                     .writable = false},
                    tensor.shape(), tensor.dtype());
}

// Rank q of R has numbers q n / R and on, begun at whole blocks.
std::vector<Part> even_parts(int64_t numbers, int ranks) {
  const auto begin_of = [&](int rank) {
    return rank == ranks ? numbers : numbers * rank / ranks / kUpdateBlock * kUpdateBlock;
  };
  std::vector<Part> out;
  for (int q = 0; q < ranks; ++q)
    if (begin_of(q) < begin_of(q + 1)) out.push_back({q, begin_of(q), begin_of(q + 1)});
  return out;
}

}  // namespace

BlockShards::BlockShards(Decoder& decoder, Ranks ranks, GradientSum& gradients, Trace trace)
    : decoder_(decoder),
      ranks_(std::move(ranks)),
      exchange_(ranks_, decoder.embedding.value.device()),
      trace_(std::move(trace)),
      gradients_(&gradients),
      blocks_(decoder.blocks.size()) {
  for (size_t i = 0; i < blocks_.size(); ++i)
    decoder.blocks[i].visit([&](Param& param) {
      share_out(param, i, gradients.parts(param), gradients.detach(param));
    });
  hold_blocks();
}

BlockShards::BlockShards(Decoder& decoder, Ranks ranks, Trace trace)
    : decoder_(decoder),
      ranks_(std::move(ranks)),
      exchange_(ranks_, decoder.embedding.value.device()),
      trace_(std::move(trace)),
      blocks_(decoder.blocks.size()) {
  std::set<const Param*> shared;
  for (size_t i = 0; i < blocks_.size(); ++i)
    decoder.blocks[i].visit([&](Param& param) {
      shared.insert(&param);
      const std::vector<Part> parts = even_parts(param.value.numel(), ranks_.size());
      Tensor own;
      for (const Part& part : parts)
        if (part.rank == ranks_.rank()) own = param.value.flat().rows(part.begin, part.end).clone();
      share_out(param, i, parts, own);
    });
  decoder.visit([&](Param& param) {
    if (!shared.contains(&param) && !param.value.writable()) param.value = param.value.clone();
  });
  hold_blocks();
}

BlockShards::~BlockShards() {
  decoder_.hold_block = nullptr;
}

void BlockShards::share_out(Param& param, size_t block, std::vector<Part> parts, Tensor own) {
  param.value = without_numbers(param.value);
  blocks_[block].push_back({&param, std::move(parts), std::move(own)});
}

void BlockShards::hold_blocks() {
  decoder_.hold_block = [this](size_t index) {
    gather(index);
    return std::shared_ptr<void>(this, [index](BlockShards* of) { of->release(index); });
  };
}

void BlockShards::gather(size_t block) {
  // They were sent before, and would be beside the block.
  if (gradients_) gradients_->settle();
  std::vector<Parcel> sent, received;
  for (Shared& shared : blocks_[block]) {
    const Tensor& like = shared.param->value;
    const Tensor whole = Tensor::uninitialized(like.shape(), like.dtype(), like.device());
    for (const Part& part : shared.parts) {
      Tensor numbers = whole.flat().rows(part.begin, part.end);
      if (part.rank != ranks_.rank()) {
        received.push_back({part.rank, numbers});
        continue;
      }
      numbers.copy_from(shared.own);
      for (int i = 1; i < ranks_.size(); ++i)  // not all to one at once
        sent.push_back({(part.rank + i) % ranks_.size(), shared.own});
    }
    shared.param->value = whole;
  }
  if (ranks_.alone()) return;
  trace_.during(kWaitPhase, [&] {
    exchange_
        .start(kTag, std::move(sent), std::move(received),
               trace_.bar("block", static_cast<int64_t>(block)))
        ->wait();
  });
}

void BlockShards::release(size_t block) {
  for (Shared& shared : blocks_[block]) shared.param->value = without_numbers(shared.param->value);
}

}  // namespace halftone
