// Parcels by MPI, and what a build without NCCL says of GPUs; with it, exchange_nccl.cu does.
#include "halftone/tensor/exchange.h"

#include <algorithm>

namespace halftone {
namespace {

class ByMessages : public Transfer {
 public:
  ByMessages(Ranks ranks, int tag, std::vector<Parcel> sent, std::vector<Parcel> received,
             Trace::Bar bar)
      : sent_(std::move(sent)),
        received_(std::move(received)),
        messages_(std::move(ranks)),
        bar_(std::move(bar)) {
    if (bar_) bar_.begin(Mark::now(Device::cpu));
    for (Parcel& parcel : received_)
      if (parcel.numbers.numel() > 0)
        messages_.receive(parcel.rank, tag, parcel.numbers.raw(), parcel.numbers.bytes());
    for (const Parcel& parcel : sent_)
      if (parcel.numbers.numel() > 0)
        messages_.send(parcel.rank, tag, parcel.numbers.raw(), parcel.numbers.bytes());
  }
  bool arrived() override {
    const bool all = messages_.arrived();
    if (all && bar_) bar_.end(Mark::now(Device::cpu));
    return all;
  }
  void wait() override {
    messages_.wait();
    if (bar_) bar_.end(Mark::now(Device::cpu));
  }

 private:
  std::vector<Parcel> sent_, received_;
  Messages messages_;
  Trace::Bar bar_;
};

}  // namespace

Exchange::Exchange(Ranks ranks, Device device) : ranks_(std::move(ranks)) {
  require_exchange(ranks_, device);
  if (device == Device::cuda && !ranks_.alone()) gpus_ = meet(ranks_);
}

std::unique_ptr<Transfer> Exchange::start(int tag, std::vector<Parcel> sent,
                                          std::vector<Parcel> received, Trace::Bar bar) const {
  if (gpus_) return start(gpus_, std::move(sent), std::move(received), std::move(bar));
  return std::make_unique<ByMessages>(ranks_, tag, std::move(sent), std::move(received),
                                      std::move(bar));
}

// A message between GPUs takes some ten microseconds, in which one goes through millions of
// numbers.
int64_t exchanged_numbers(Device device, int64_t ranks) {
  return std::max(int64_t{1} << (device == Device::cpu ? 20 : 23), ranks << 14);
}

#ifndef HALFTONE_NCCL

struct Exchange::Gpus {};

void require_exchange(const Ranks& ranks, Device device) {
  if (device != Device::cpu && !ranks.alone())
    throw_error(ErrorKind::recipe,
                "run.device: {} ranks on GPUs, but this build of Halftone has no NCCL; configure "
                "it with -DHALFTONE_NCCL=ON",
                ranks.size());
}

std::shared_ptr<Exchange::Gpus> Exchange::meet(const Ranks&) {
  return nullptr;
}

std::unique_ptr<Transfer> Exchange::start(const std::shared_ptr<Gpus>&, std::vector<Parcel>,
                                          std::vector<Parcel>, Trace::Bar) {
  return nullptr;
}

#endif

}  // namespace halftone
