// The parameters of a decoder's blocks, shared out among ranks (ZeRO-3: Rajbhandari et al., 2020,
// arXiv 1910.02054, section 5.3): a rank keeps its part of each, and has the whole of a block's
// while the block runs. What is not in the blocks stays whole.
#pragma once

#include <memory>
#include <vector>

#include "halftone/nn/decoder.h"
#include "halftone/train/gradient_sum.h"

namespace halftone {

class BlockShards {
 public:
  // From now on all ranks run the blocks in one order. What backward needs of a block's parameters
  // it holds itself, until it is past the block: with autograd/recompute.h those of one block.
  //
  // Of a decoder that is trained, each rank keeps what it updates; both must outlive this.
  BlockShards(Decoder& decoder, Ranks ranks, GradientSum& gradients, Trace trace = {});
  // Of one that is not: parts of about one size. A file that it was mapped from is let go.
  BlockShards(Decoder& decoder, Ranks ranks, Trace trace = {});
  ~BlockShards();
  BlockShards(const BlockShards&) = delete;
  BlockShards& operator=(const BlockShards&) = delete;

 private:
  struct Shared {
    Param* param;
    std::vector<Part> parts;
    Tensor own;  // flat; undefined: this rank has none of it
  };

  void share_out(Param& param, size_t block, std::vector<Part> parts, Tensor own);
  void hold_blocks();
  void gather(size_t block);
  void release(size_t block);

  Decoder& decoder_;
  Ranks ranks_;
  Exchange exchange_;
  Trace trace_;
  GradientSum* gradients_ = nullptr;
  std::vector<std::vector<Shared>> blocks_;
};

}  // namespace halftone
