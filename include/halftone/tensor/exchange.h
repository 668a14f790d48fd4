// Tensors that ranks send each other: in the CPU's memory by MPI; from GPU to GPU, a rank each, by
// NCCL, in builds with HALFTONE_NCCL.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "halftone/base/ranks.h"
#include "halftone/tensor/tensor.h"
#include "halftone/tensor/trace.h"

namespace halftone {

// Numbers, in one piece, to or from a rank.
struct Parcel {
  int rank = 0;
  Tensor numbers;
};

// Parcels under way. They read and write their tensors, and keep their storage, until wait().
class Transfer {
 public:
  virtual ~Transfer() = default;
  virtual bool arrived() = 0;  // all of them; lets those under way go on
  // Throws as Ranks::wait, and Error(io) for what NCCL reports.
  virtual void wait() = 0;
};

class Exchange {
 public:
  // Collective, for tensors of one device. Throws Error(recipe) for several ranks on GPUs where the
  // build has no NCCL.
  Exchange(Ranks ranks, Device device);

  // All ranks start their transfers in one order. Between two ranks parcels of one tag arrive in
  // the order in which they are named; on the GPU they come after what was queued before, and go
  // beside what is queued later. `bar` becomes the time in which they are under way; on the CPU it
  // ends where somebody sees that they have arrived.
  std::unique_ptr<Transfer> start(int tag, std::vector<Parcel> sent, std::vector<Parcel> received,
                                  Trace::Bar bar = {}) const;

 private:
  struct Gpus;

  static std::shared_ptr<Gpus> meet(const Ranks& ranks);
  static std::unique_ptr<Transfer> start(const std::shared_ptr<Gpus>& gpus,
                                         std::vector<Parcel> sent, std::vector<Parcel> received,
                                         Trace::Bar bar);

  Ranks ranks_;
  std::shared_ptr<Gpus> gpus_;  // null: on the CPU
};

// Throws Error(recipe) where Exchange would.
void require_exchange(const Ranks& ranks, Device device);

// Numbers that ranks exchange together: enough for the network's full rate, and for a piece of some
// size for each rank; few enough to begin early in backward.
int64_t exchanged_numbers(Device device, int64_t ranks);

}  // namespace halftone
