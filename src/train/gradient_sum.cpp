// Sums of one rank add in place. Those of several go by buckets of parameters: each rank sends each
// other its piece of a bucket, and adds what it gets of its own piece in the order of the ranks.
#include "halftone/train/gradient_sum.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "halftone/ops/adamw.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/train/adamw.h"

namespace halftone {
namespace {

constexpr int kTags = 1 << 15;        // that every MPI has
constexpr size_t kBucketsAtOnce = 4;  // whose gradients, or values, are under way

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

Device device_of(const std::vector<Param*>& params) {
  return params.empty() ? Device::cpu : params.front()->value.device();
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
  std::unique_ptr<Transfer> transfer;

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
  return whole.flat().rows(begin, begin + part.value.numel()).reshape(part.value.shape());
}

GradientSum::GradientSum(const std::vector<Param*>& params, Ranks ranks, Trace trace)
    : ranks_(std::move(ranks)), exchange_(ranks_, device_of(params)), trace_(std::move(trace)) {
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
  const Device device = device_of(params);
  const int64_t most = exchanged_numbers(device, ranks_.size());
  for (Param* param : params) {
    require(param->value.dtype() == DType::f32 && param->value.device() == device,
            "GradientSum: '{}' is {} on {}, f32 on {} expected", param->name,
            dtype_name(param->value.dtype()), device_name(param->value.device()),
            device_name(device));
    if (buckets_.empty() || buckets_.back().offsets.back() >= most) {
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
                        .value = param.value.flat().rows(begin, end),
                        .grad = {},
                        .role = param.role},
                       &param,
                       begin});
  });
}

std::vector<Part> GradientSum::parts(const Param& param) const {
  if (ranks_.alone()) return {{0, 0, param.value.numel()}};
  std::vector<Part> out;
  buckets_[place_.at(&param)].for_each_part(
      [&](const Param& of, int owner, int64_t begin, int64_t end) {
        if (&of == &param) out.push_back({owner, begin, end});
      });
  return out;
}

Tensor GradientSum::detach(const Param& param) {
  detached_.insert(&param);
  for (Shard& shard : shards_)
    if (shard.of == &param) return (shard.part.value = shard.part.value.clone()).flat();
  return {};
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
  const Device device = device_of(bucket.params);
  bucket.sent = Tensor::uninitialized({bucket.offsets.back()}, DType::f32, device);
  for (size_t i = 0; i < bucket.params.size(); ++i) {
    Grad& grad = bucket.params[i]->grad;
    Tensor numbers = bucket.of_param(bucket.sent, i);
    if (grad.filled)
      numbers.copy_from(grad.tensor.flat());
    else
      numbers.fill(0);
    grad.clear();
  }
  const int own = ranks_.rank();
  bucket.received =
      Tensor::uninitialized({ranks_.size(), bucket.piece_numbers(own)}, DType::f32, device);
  std::vector<Parcel> sent, received;
  for (int i = 1; i < ranks_.size(); ++i) {
    const int q = (own + i) % ranks_.size();  // not all to one at once
    sent.push_back({q, bucket.piece(bucket.sent, q)});
    received.push_back({q, bucket.received.rows(q, q + 1)});
  }
  bucket.transfer = exchange_.start(bucket.tag, std::move(sent), std::move(received),
                                    trace_.bar("gradients", bucket.tag));
  bucket.missing = bucket.params.size();
  ++bucket.started;
  under_way_.push_back(&bucket);
  // On a GPU the next kernels would wait.
  while (device == Device::cpu && under_way_.size() > kBucketsAtOnce) complete(*under_way_.front());
}

void GradientSum::complete(Bucket& bucket) {
  if (!bucket.transfer) return;
  trace_.during(kWaitPhase, [&] { bucket.transfer->wait(); });
  take(bucket);
}

// Adds what has come, in the order of the ranks.
void GradientSum::take(Bucket& bucket) {
  const char* phase = trace_.enter("sum");
  bucket.transfer.reset();
  std::erase(under_way_, &bucket);
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
  trace_.enter(phase);
}

// Transfers move, and memory is given back, while backward goes on.
void GradientSum::let_go_on() {
  for (Bucket& bucket : buckets_)
    if (bucket.transfer && bucket.transfer->arrived()) take(bucket);
}

void GradientSum::settle() {
  for (Bucket& bucket : buckets_) complete(bucket);
}

void GradientSum::finish() {
  settle();
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
    return std::sqrt(squared_gradient_norm(parts));
  }
  std::vector<Tensor> gradients;
  for (const Shard& shard : shards_) gradients.push_back(shard.part.grad.tensor);
  const std::vector<std::vector<double>> all = ranks_.gather(block_sums_of_squares(gradients));
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
  for (size_t i = 0; i < buckets_.size(); ++i) {
    const Bucket& bucket = buckets_[i];
    std::vector<Parcel> sent, received;
    bucket.for_each_part([&](const Param& param, int owner, int64_t begin, int64_t end) {
      if (detached(param)) return;
      const Tensor part = param.value.flat().rows(begin, end);
      if (owner != ranks_.rank()) return received.push_back({owner, part});
      for (int q = 1; q < ranks_.size(); ++q) sent.push_back({(owner + q) % ranks_.size(), part});
    });
    values_.push_back({i, exchange_.start(bucket.tag, std::move(sent), std::move(received),
                                          trace_.bar("values", bucket.tag))});
    // On a GPU the next kernels would wait.
    while (device_of(bucket.params) == Device::cpu && values_.size() >= kBucketsAtOnce)
      await_next_values();
  }
}

void GradientSum::await_next_values() {
  trace_.during(kWaitPhase, [&] { values_.front().transfer->wait(); });
  values_.pop_front();
}

void GradientSum::await_values(const Param& param) {
  while (!values_.empty() && values_.front().bucket <= place_.at(&param)) await_next_values();
}

void GradientSum::await_values() {
  while (!values_.empty()) await_next_values();
}

std::map<std::string, Tensor> GradientSum::whole(const std::vector<Tensor>& of_shards) const {
  require(of_shards.size() == shards_.size(), "GradientSum: {} tensors of {} shards",
          of_shards.size(), shards_.size());
  std::map<std::string, Tensor> out;
  if (ranks_.alone()) {
    for (size_t i = 0; i < shards_.size(); ++i) out[shards_[i].part.name] = of_shards[i];
    return out;
  }
  const Exchange memory(ranks_, Device::cpu);
  auto shard = of_shards.begin();
  for (const Bucket& bucket : buckets_) {
    Tensor numbers = Tensor::uninitialized({bucket.offsets.back()}, DType::f32);
    const Tensor own = bucket.piece(numbers, ranks_.rank());
    for (int64_t at = 0; at < own.numel(); at += shard++->numel())
      own.rows(at, at + shard->numel()).copy_from(shard->flat());
    std::vector<Parcel> sent, received;
    if (!ranks_.first()) sent.push_back({0, own});
    for (int q = 1; ranks_.first() && q < ranks_.size(); ++q)
      received.push_back({q, bucket.piece(numbers, q)});
    memory.start(bucket.tag, std::move(sent), std::move(received))->wait();
    for (size_t i = 0; ranks_.first() && i < bucket.params.size(); ++i)
      out[bucket.params[i]->name] =
          bucket.of_param(numbers, i).reshape(bucket.params[i]->value.shape());
  }
  return out;
}

}  // namespace halftone
