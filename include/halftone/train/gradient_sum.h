// The gradients of a step, summed over its micro-batches and over the ranks that share them out;
// and the parameters, each number of which one rank updates (ZeRO-1: Rajbhandari et al., 2020,
// arXiv 1910.02054, section 5.1).
//
//   micro-batch a R + r of a step is number a of rank r of R;  sum = ((g_0 + g_1) + g_2) + ...
//
// whatever R is: each gradient is taken whole, and they are added in this order by the rank that
// owns the number. So R ranks give the bits of one rank with R times the micro-batches.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "halftone/autograd/tape.h"
#include "halftone/tensor/exchange.h"

namespace halftone {

// What this rank updates of a parameter: numbers `begin` and on, as a parameter whose value shares
// the storage. One rank alone has each parameter whole, in its shape; else a part is flat.
struct Shard {
  Param part;
  Param* of = nullptr;
  int64_t begin = 0;

  // The same part of a tensor of the parameter's size; the storage is shared.
  Tensor of_whole(const Tensor& whole) const;
};

// Which of a parameter's numbers a rank updates.
struct Part {
  int rank = 0;
  int64_t begin = 0, end = 0;
};

class GradientSum {
 public:
  // The parameters (F32, on one device) must outlive this, and keep their storage, but those that
  // are detached.
  GradientSum(const std::vector<Param*>& params, Ranks ranks, Trace trace = {});
  ~GradientSum();

  // In the order of the parameters, each begun at a multiple of ops/adamw.h's kUpdateBlock.
  std::vector<Shard>& shards() { return shards_; }
  const std::vector<Shard>& shards() const { return shards_; }

  // In the order of the numbers.
  std::vector<Part> parts(const Param& param) const;
  // Gives this rank's part of a parameter, flat, a storage of its own, which is updated from now
  // on, and returns it; undefined where there is none. share_values() leaves the parameter out.
  Tensor detach(const Param& param);
  bool detached(const Param& param) const { return detached_.contains(&param); }

  // A step: clear(); for each micro-batch add() of the parameters as their gradients are done, in
  // any order, and end_batch(); finish(). What is added leaves the parameter. While backward goes
  // on, sums of several ranks are under way, on the CPU of a few buckets: a rank that is ahead
  // waits for the others. After finish() they are in the shards' gradients.
  void clear();
  void add(Param& param);
  void end_batch();  // adds those that were not
  void settle();     // waits for the sums that are under way, and gives back what they take
  void finish();

  // The square root of the sum of squares, in the order of one rank.
  double norm();
  // Begins to give every rank what the others updated: a parameter is not to be touched until its
  // values are awaited, of those that come before it in their order too, or of all.
  void share_values();
  void await_values(const Param& param);
  void await_values();
  bool values_there() const { return values_.empty(); }
  // Whole tensors of what shards have, by parameter; empty but on the first rank.
  std::map<std::string, Tensor> whole(const std::vector<Tensor>& of_shards) const;

 private:
  struct Bucket;
  struct SharedValues {  // under way
    size_t bucket = 0;
    std::unique_ptr<Transfer> transfer;
  };

  void make_buckets(const std::vector<Param*>& params);
  void make_shards(const Bucket& bucket);
  void start(Bucket& bucket);
  void complete(Bucket& bucket);
  void take(Bucket& bucket);
  void let_go_on();
  void await_next_values();

  Ranks ranks_;
  Exchange exchange_;
  Trace trace_;
  std::vector<Shard> shards_;
  std::vector<Bucket> buckets_;           // of several ranks
  std::deque<Bucket*> under_way_;         // in the order in which they were started
  std::deque<SharedValues> values_;       // in the order of the buckets
  std::map<const Param*, size_t> place_;  // its shard, or its bucket
  std::set<const Param*> detached_;
  int64_t batches_ = 0;  // ended since clear()
};

}  // namespace halftone
