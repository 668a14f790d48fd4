// Sums of one rank add in place. Those of several go by buckets of parameters: each rank sends each
// other its piece of a bucket, and adds what it gets of its own piece in the order of the ranks.
#include "halftone/train/gradient_sum.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "halftone/ops/adamw.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/train/adamw.h"

namespace halftone {
namespace {

constexpr int kTags = 1 << 15;        // that every MPI has
constexpr size_t kBucketsAtOnce = 4;  // whose values are under way

Tensor flat(const Tensor& tensor) {
  return tensor.reshape({tensor.numel()});
}

// sum += more. The first is taken as it is.
void add_to(Tensor& sum, const Tensor& more) {
  if (!sum.defined()) {
    sum = more;
    return;
  }
  // The storage may be shared with another gradient.
  Tensor out = sum.unique() ? sum : sum.like();
  add(sum, more, out);
  sum = out;
}

void send(Messages& messages, int to, int tag, const Tensor& numbers) {
  if (numbers.numel() > 0) messages.send(to, tag, numbers.raw(), numbers.bytes());
}

void receive(Messages& messages, int from, int tag, Tensor numbers) {
  if (numbers.numel() > 0) messages.receive(from, tag, numbers.raw(), numbers.bytes());
}

}  // namespace

// Parameters one behind the other, and what is under way of their gradients.
struct GradientSum::Bucket {
  std::vector<Param*> params;
  std::vector<int64_t> offsets;  // of the params, and the end
  std::vector<int64_t> bounds;   // rank q owns numbers bounds[q] .. bounds[q + 1]
  int tag = 0;
  size_t missing = 0;   // params of this micro-batch
  int64_t started = 0;  // micro-batches
  Tensor sent, received, sum;
  std::optional<Messages> messages;

  Tensor piece(const Tensor& numbers, int rank) const {
    return numbers.rows(bounds[static_cast<size_t>(rank)], bounds[static_cast<size_t>(rank) + 1]);
  }
  Tensor of_param(const Tensor& numbers, size_t i) const {
    return numbers.rows(offsets[i], offsets[i + 1]);
  }
  int64_t piece_numbers(int rank) const {
    return bounds[static_cast<size_t>(rank) + 1] - bounds[static_cast<size_t>(rank)];
  }
  // Blocks that an update takes at a time: visit(param, first number in the bucket).
  template <class Visit>
  void for_each_block(const Visit& visit) const {
    for (size_t i = 0; i < params.size(); ++i)
      for (int64_t at = offsets[i]; at < offsets[i + 1]; at += kUpdateBlock) visit(i, at);
  }
  // visit(param, rank, begin, end): numbers begin .. end of the param are that rank's.
  template <class Visit>
  void for_each_part(const Visit& visit) const {
    for (size_t i = 0; i < params.size(); ++i)
      for (size_t q = 0; q + 1 < bounds.size(); ++q) {
        const int64_t begin = std::max(bounds[q], offsets[i]) - offsets[i],
                      end = std::min(bounds[q + 1], offsets[i + 1]) - offsets[i];
        if (begin < end) visit(*params[i], static_cast<int>(q), begin, end);
      }
  }
  void share_out(int ranks);
};

// Pieces of about one size, each of whole blocks.
void GradientSum::Bucket::share_out(int ranks) {
  bounds.assign(1, 0);
  for_each_block([&](size_t, int64_t at) {
    while (static_cast<int64_t>(bounds.size()) < ranks &&
           at >= offsets.back() * static_cast<int64_t>(bounds.size()) / ranks)
      bounds.push_back(at);
  });
  bounds.resize(static_cast<size_t>(ranks) + 1, offsets.back());
}

Tensor Shard::of_whole(const Tensor& whole) const {
  return flat(whole).rows(begin, begin + part.value.numel()).reshape(part.value.shape());
}

GradientSum::GradientSum(const std::vector<Param*>& params, Ranks ranks)
    : ranks_(std::move(ranks)) {
  if (!ranks_.alone()) {
    make_buckets(params);
    return;
  }
  for (Param* param : params) {
    place_[param] = shards_.size();
    shards_.push_back(
        {{.name = param->name, .value = param->value, .grad = {}, .role = param->role}, param});
  }
}

GradientSum::~GradientSum() = default;

void GradientSum::make_buckets(const std::vector<Param*>& params) {
  for (Param* param : params) {
    require(param->value.dtype() == DType::f32 && param->value.device() == Device::cpu,
            "GradientSum: '{}' is {} on {}, f32 on cpu expected of several ranks", param->name,
            dtype_name(param->value.dtype()), device_name(param->value.device()));
    if (buckets_.empty() || buckets_.back().offsets.back() >= exchanged_numbers(ranks_.size())) {
      buckets_.push_back({.offsets = {0}});
      buckets_.back().tag = static_cast<int>(buckets_.size()) % kTags;
    }
    Bucket& bucket = buckets_.back();
    bucket.params.push_back(param);
    bucket.offsets.push_back(bucket.offsets.back() + param->value.numel());
    place_[param] = buckets_.size() - 1;
  }
  for (Bucket& bucket : buckets_) {
    bucket.missing = bucket.params.size();
    bucket.share_out(ranks_.size());
    make_shards(bucket);
  }
}

void GradientSum::make_shards(const Bucket& bucket) {
  bucket.for_each_part([&](Param& param, int owner, int64_t begin, int64_t end) {
    if (owner != ranks_.rank()) return;
    shards_.push_back({{.name = param.name,
                        .value = flat(param.value).rows(begin, end),
                        .grad = {},
                        .role = param.role},
                       &param,
                       begin});
  });
}

void GradientSum::clear() {
  for (Shard& shard : shards_) shard.part.grad.clear();
  for (Bucket& bucket : buckets_) {
    bucket.sum = {};
    bucket.started = 0;
  }
  batches_ = 0;
}

void GradientSum::add(Param& param) {
  const size_t place = place_.at(&param);
  if (ranks_.alone()) {
    if (!param.grad.filled) return;
    Grad& sum = shards_[place].part.grad;
    add_to(sum.tensor, param.grad.tensor);
    sum.filled = true;
    param.grad.clear();
    return;
  }
  Bucket& bucket = buckets_[place];
  if (--bucket.missing == 0) start(bucket);
  let_go_on();
}

void GradientSum::end_batch() {
  if (ranks_.alone()) {
    for (Shard& shard : shards_) add(*shard.of);
    return;
  }
  ++batches_;
  for (auto bucket = buckets_.rbegin(); bucket != buckets_.rend(); ++bucket)
    if (bucket->started < batches_) start(*bucket);
}

// The bucket's gradients of this micro-batch to their owners.
void GradientSum::start(Bucket& bucket) {
  complete(bucket);
  bucket.sent = Tensor::uninitialized({bucket.offsets.back()}, DType::f32);
  for (size_t i = 0; i < bucket.params.size(); ++i) {
    Grad& grad = bucket.params[i]->grad;
    Tensor numbers = bucket.of_param(bucket.sent, i);
    if (grad.filled)
      numbers.copy_from(flat(grad.tensor));
    else
      numbers.fill(0);
    grad.clear();
  }
  const int own = ranks_.rank();
  bucket.received = Tensor::uninitialized({ranks_.size(), bucket.piece_numbers(own)}, DType::f32);
  bucket.messages.emplace(ranks_);
  for (int q = 0; q < ranks_.size(); ++q)
    if (q != own) receive(*bucket.messages, q, bucket.tag, bucket.received.rows(q, q + 1));
  for (int i = 1; i < ranks_.size(); ++i) {
    const int q = (own + i) % ranks_.size();  // not all to one at once
    send(*bucket.messages, q, bucket.tag, bucket.piece(bucket.sent, q));
  }
  bucket.missing = bucket.params.size();
  ++bucket.started;
}

// Adds what has come, in the order of the ranks.
void GradientSum::complete(Bucket& bucket) {
  if (!bucket.messages) return;
  bucket.messages->wait();
  bucket.messages.reset();
  const int64_t numbers = bucket.piece_numbers(ranks_.rank());
  for (int q = 0; q < ranks_.size(); ++q) {
    const Tensor more = q == ranks_.rank() ? bucket.piece(bucket.sent, q)
                                           : bucket.received.rows(q, q + 1).reshape({numbers});
    if (bucket.sum.defined())
      halftone::add(bucket.sum, more, bucket.sum);
    else
      bucket.sum = more.clone();
  }
  bucket.sent = bucket.received = {};
}

// Messages move, and memory is given back, while backward goes on.
void GradientSum::let_go_on() {
  for (Bucket& bucket : buckets_)
    if (bucket.messages && bucket.messages->arrived()) complete(bucket);
}

void GradientSum::finish() {
  for (Bucket& bucket : buckets_) complete(bucket);
  if (ranks_.alone()) return;
  auto shard = shards_.begin();
  for (const Bucket& bucket : buckets_)
    for (int64_t at = 0; at < bucket.piece_numbers(ranks_.rank()); ++shard) {
      const int64_t next = at + shard->part.value.numel();
      shard->part.grad = {bucket.sum.rows(at, next), true};
      at = next;
    }
}

double GradientSum::norm() {
  if (ranks_.alone()) {
    std::vector<Param*> parts;
    for (Shard& shard : shards_) parts.push_back(&shard.part);
    return std::sqrt(squared_gradient_norm(parts).item());
  }
  std::vector<double> own;
  for (const Shard& shard : shards_)
    for (const double part : block_sums_of_squares(shard.part.grad.tensor)) own.push_back(part);
  const std::vector<std::vector<double>> all = ranks_.gather(own);
  std::vector<size_t> taken(all.size(), 0);
  double sum = 0, of_param = 0;
  for (const Bucket& bucket : buckets_)
    bucket.for_each_block([&](size_t param, int64_t at) {
      const auto end = std::upper_bound(bucket.bounds.begin(), bucket.bounds.end(), at);
      const auto owner = static_cast<size_t>(end - bucket.bounds.begin()) - 1;
      if (at == bucket.offsets[param]) {
        sum += of_param;
        of_param = 0;
      }
      of_param += all[owner].at(taken[owner]++);
    });
  return std::sqrt(sum + of_param);
}

void GradientSum::share_values() {
  if (ranks_.alone()) return;
  std::deque<Messages> under_way;
  const auto wait_until_left = [&](size_t buckets) {
    for (; under_way.size() > buckets; under_way.pop_front()) under_way.front().wait();
  };
  for (const Bucket& bucket : buckets_) {
    Messages& messages = under_way.emplace_back(ranks_);
    bucket.for_each_part([&](const Param& param, int owner, int64_t begin, int64_t end) {
      const Tensor part = flat(param.value).rows(begin, end);
      if (owner != ranks_.rank()) return receive(messages, owner, bucket.tag, part);
      for (int i = 1; i < ranks_.size(); ++i)
        send(messages, (owner + i) % ranks_.size(), bucket.tag, part);
    });
    wait_until_left(kBucketsAtOnce - 1);
  }
  wait_until_left(0);
}

std::map<std::string, Tensor> GradientSum::whole(const std::vector<Tensor>& of_shards) const {
  require(of_shards.size() == shards_.size(), "GradientSum: {} tensors of {} shards",
          of_shards.size(), shards_.size());
  std::map<std::string, Tensor> out;
  if (ranks_.alone()) {
    for (size_t i = 0; i < shards_.size(); ++i) out[shards_[i].part.name] = of_shards[i];
    return out;
  }
  auto shard = of_shards.begin();
  for (const Bucket& bucket : buckets_) {
    Tensor numbers = Tensor::uninitialized({bucket.offsets.back()}, DType::f32);
    const Tensor own = bucket.piece(numbers, ranks_.rank());
    for (int64_t at = 0; at < own.numel(); at += shard++->numel())
      own.rows(at, at + shard->numel()).copy_from(flat(*shard));
    Messages messages(ranks_);
    if (!ranks_.first()) send(messages, 0, bucket.tag, own);
    for (int q = 1; ranks_.first() && q < ranks_.size(); ++q)
      receive(messages, q, bucket.tag, bucket.piece(numbers, q));
    messages.wait();
    for (size_t i = 0; ranks_.first() && i < bucket.params.size(); ++i)
      out[bucket.params[i]->name] =
          bucket.of_param(numbers, i).reshape(bucket.params[i]->value.shape());
  }
  return out;
}

}  // namespace halftone
