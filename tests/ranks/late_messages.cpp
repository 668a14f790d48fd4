// Preloaded into a rank: what it receives is in its place only once it has asked for it and been
// told that it is there.
#include <mpi.h>

#include <cstring>
#include <map>
#include <memory>
#include <vector>

namespace {

struct Received {
  void* place;
  std::unique_ptr<std::vector<char>> bytes;
};

std::map<MPI_Request, Received>& under_way() {
  static std::map<MPI_Request, Received> all;
  return all;
}

}  // namespace

extern "C" int MPI_Irecv(void* place, int count, MPI_Datatype type, int from, int tag,
                         MPI_Comm comm, MPI_Request* request) {
  if (type != MPI_BYTE) return PMPI_Irecv(place, count, type, from, tag, comm, request);
  auto bytes = std::make_unique<std::vector<char>>(static_cast<size_t>(count));
  const int status = PMPI_Irecv(bytes->data(), count, type, from, tag, comm, request);
  under_way()[*request] = {place, std::move(bytes)};
  return status;
}

extern "C" int MPI_Testall(int count, MPI_Request* requests, int* done, MPI_Status* statuses) {
  const std::vector<MPI_Request> asked(requests, requests + count);
  const int status = PMPI_Testall(count, requests, done, statuses);
  for (const MPI_Request request : asked)
    if (const auto at = under_way().find(request); *done && at != under_way().end()) {
      std::memcpy(at->second.place, at->second.bytes->data(), at->second.bytes->size());
      under_way().erase(at);
    }
  return status;
}
