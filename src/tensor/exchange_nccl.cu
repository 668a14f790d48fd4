// Parcels from GPU to GPU. In builds with HALFTONE_NCCL.
#include <nccl.h>

#include "halftone/tensor/device.h"
#include "halftone/tensor/exchange.h"
#include "tensor/cuda/kernels.cuh"
#include "tensor/cuda/mark.cuh"

namespace halftone {
namespace {

void check(ncclResult_t result, ncclComm_t comm, const char* call) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw_error(ErrorKind::io, "{}: {}: {}", call, ncclGetErrorString(result),
              ncclGetLastError(comm));
}

}  // namespace

// Each rank's GPU, and this one's queue of what it sends and receives.
struct Exchange::Gpus {
  Ranks ranks;
  ncclComm_t comm = nullptr;
  cudaStream_t queue = nullptr;

  explicit Gpus(const Ranks& all);
  ~Gpus();
  Gpus(const Gpus&) = delete;
  Gpus& operator=(const Gpus&) = delete;
};

Exchange::Gpus::Gpus(const Ranks& all) : ranks(all) {
  ncclUniqueId id{};
  if (ranks.first()) check(ncclGetUniqueId(&id), nullptr, "ncclGetUniqueId");
  const std::string first = ranks.gather(std::string(id.internal, sizeof id.internal)).front();
  std::copy(first.begin(), first.end(), id.internal);
  cuda::stream();  // of the GPU in use
  check(ncclCommInitRank(&comm, ranks.size(), id, ranks.rank()), nullptr, "ncclCommInitRank");
  cuda::check(cudaStreamCreateWithFlags(&queue, cudaStreamNonBlocking), "cudaStreamCreate");
}

// Does not wait for ranks that have ended.
Exchange::Gpus::~Gpus() {
  if (comm) ncclCommAbort(comm);
  if (queue) cudaStreamDestroy(queue);
}

namespace {

struct Event {
  cudaEvent_t event = nullptr;

  Event() { cuda::check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEvent"); }
  ~Event() { cudaEventDestroy(event); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
};

class BetweenGpus : public Transfer {
 public:
  BetweenGpus(const Ranks& ranks, ncclComm_t comm, cudaStream_t queue, std::vector<Parcel> sent,
              std::vector<Parcel> received, const Trace::Bar& bar)
      : ranks_(ranks), comm_(comm), sent_(std::move(sent)), received_(std::move(received)) {
    cuda::check(cudaEventRecord(ready_.event, cuda::stream()), "cudaEventRecord");
    cuda::check(cudaStreamWaitEvent(queue, ready_.event), "cudaStreamWaitEvent");
    if (bar) bar.begin(cuda::mark_in(queue));  // what is sent is ready, what is ahead has gone
    check(ncclGroupStart(), comm, "ncclGroupStart");
    for (const Parcel& parcel : sent_)
      check(ncclSend(parcel.numbers.raw(), parcel.numbers.bytes(), ncclUint8, parcel.rank, comm,
                     queue),
            comm, "ncclSend");
    for (Parcel& parcel : received_)
      check(ncclRecv(parcel.numbers.raw(), parcel.numbers.bytes(), ncclUint8, parcel.rank, comm,
                     queue),
            comm, "ncclRecv");
    check(ncclGroupEnd(), comm, "ncclGroupEnd");
    if (bar) bar.end(cuda::mark_in(queue));
    cuda::check(cudaEventRecord(done_.event, queue), "cudaEventRecord");
  }

  bool arrived() override {
    const cudaError_t state = cudaEventQuery(done_.event);
    if (state == cudaErrorNotReady) {
      ncclResult_t found = ncclSuccess;
      check(ncclCommGetAsyncError(comm_, &found), comm_, "ncclCommGetAsyncError");
      check(found, comm_, "NCCL");
      return false;
    }
    cuda::check(state, "cudaEventQuery");
    return true;
  }

  void wait() override {
    ranks_.wait([this] { return arrived(); });
  }

 private:
  const Ranks& ranks_;
  ncclComm_t comm_;
  std::vector<Parcel> sent_, received_;
  Event ready_, done_;
};

}  // namespace

void require_exchange(const Ranks&, Device) {}

std::shared_ptr<Exchange::Gpus> Exchange::meet(const Ranks& ranks) {
  return std::make_shared<Gpus>(ranks);
}

std::unique_ptr<Transfer> Exchange::start(const std::shared_ptr<Gpus>& gpus,
                                          std::vector<Parcel> sent, std::vector<Parcel> received,
                                          Trace::Bar bar) {
  return std::make_unique<BetweenGpus>(gpus->ranks, gpus->comm, gpus->queue, std::move(sent),
                                       std::move(received), bar);
}

}  // namespace halftone
