// The ranks of MPI: its calls, and how long one waits for them. In builds with HALFTONE_MPI.
#define OMPI_SKIP_MPICXX
#define MPICH_SKIP_MPICXX
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "halftone/base/ranks.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

// MPI counts in int.
constexpr size_t kMostBytes = size_t{1} << 30;
// A wait looks again at once for so long, then sleeps between two looks; whether the others live is
// looked up now and then.
constexpr std::chrono::microseconds kEager{200}, kNap{50};
constexpr std::chrono::milliseconds kLookAround{500};
constexpr std::chrono::seconds kAbort{5};

void check(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  throw_error(ErrorKind::io, "{}: {}", call, std::string(text.data(), static_cast<size_t>(length)));
}

bool all_done(std::vector<MPI_Request>& requests) {
  int done = 0;
  check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE),
        "MPI_Testall");
  return done != 0;
}

// Not even as one that its parent has not asked for yet.
bool has_ended(int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string stat;
  if (!std::getline(file, stat)) return true;  // it may end between the two
  const size_t name = stat.rfind(") ");
  return name != std::string::npos && (stat[name + 2] == 'Z' || stat[name + 2] == 'X');
}

// A launcher says so in the environment; MPI_Init of a process by itself would start a daemon.
bool was_launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"})
    if (std::getenv(name)) return true;
  return false;
}

}  // namespace

struct Ranks::Group {
  MPI_Comm world = MPI_COMM_NULL;
  int size = 1, rank = 0, cores = 0, place = 0;
  std::vector<std::pair<int, int64_t>> neighbours;  // ranks of this host, and their pids

  Group();
  void meet_neighbours();
  void wait(const std::function<bool()>& done, double seconds) const;
  void wait(std::vector<MPI_Request>& requests, double seconds) const;
};

Ranks::Group::Group() {
  int given = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given), "MPI_Init_thread");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup");
  check(MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_size(world, &size), "MPI_Comm_size");
  check(MPI_Comm_rank(world, &rank), "MPI_Comm_rank");
  if (size > 1) meet_neighbours();
}

// Who is on this host, and which cores they share.
void Ranks::Group::meet_neighbours() {
  struct Neighbour {
    int64_t rank, pid;
    cpu_set_t cores;
  };
  Neighbour own{rank, ::getpid(), {}};
  CPU_ZERO(&own.cores);
  const bool known = ::sched_getaffinity(0, sizeof own.cores, &own.cores) == 0;
  MPI_Comm host = MPI_COMM_NULL;
  int count = 0;
  check(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &host),
        "MPI_Comm_split_type");
  check(MPI_Comm_size(host, &count), "MPI_Comm_size");
  std::vector<Neighbour> all(static_cast<size_t>(count));
  check(MPI_Allgather(&own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, host),
        "MPI_Allgather");
  MPI_Comm_free(&host);
  cpu_set_t together;
  CPU_ZERO(&together);
  int asked = 0;
  for (const Neighbour& one : all) {
    if (one.rank < rank) ++place;
    asked += CPU_COUNT(&one.cores);
    CPU_OR(&together, &together, &one.cores);
    // Containers of one host do not see each other's processes.
    if (one.rank != rank && !has_ended(one.pid))
      neighbours.emplace_back(static_cast<int>(one.rank), one.pid);
  }
  if (known && asked > CPU_COUNT(&together))
    cores = std::max(1, CPU_COUNT(&own.cores) * CPU_COUNT(&together) / asked);
}

void Ranks::Group::wait(const std::function<bool()>& done, double seconds) const {
  const auto start = Clock::now();
  auto looked = start;
  while (!done()) {
    const auto now = Clock::now();
    if (now - start > kEager) std::this_thread::sleep_for(kNap);
    if (now - looked < kLookAround) continue;
    looked = now;
    for (const auto& [other, pid] : neighbours)
      if (has_ended(pid))
        throw_error(ErrorKind::io, "rank {} (process {}) has ended; the others cannot go on", other,
                    pid);
    if (std::chrono::duration<double>(now - start).count() > seconds)
      throw_error(ErrorKind::io, "no word from the other ranks for {:.0f} seconds", seconds);
  }
}

// The requests are null then.
void Ranks::Group::wait(std::vector<MPI_Request>& requests, double seconds) const {
  wait([&] { return all_done(requests); }, seconds);
}

Ranks Ranks::of_launcher() {
  if (!was_launched()) return {};
  return Ranks(std::make_shared<Group>());
}

int Ranks::size() const {
  return group_ ? group_->size : 1;
}

int Ranks::rank() const {
  return group_ ? group_->rank : 0;
}

int Ranks::cores() const {
  return group_ ? group_->cores : 0;
}

int Ranks::place_on_host() const {
  return group_ ? group_->place : 0;
}

void Ranks::wait(const std::function<bool()>& done) const {
  group_->wait(done, kMessageSeconds);
}

std::vector<std::string> Ranks::exchanged(const std::string& own, double seconds) const {
  const auto n = static_cast<size_t>(size());
  const int bytes = static_cast<int>(own.size());
  require(own.size() < kMostBytes / n, "Ranks: {} bytes to gather", own.size());
  std::vector<int> counts(n), places(n, 0);
  std::vector<MPI_Request> request(1);
  check(
      MPI_Iallgather(&bytes, 1, MPI_INT, counts.data(), 1, MPI_INT, group_->world, request.data()),
      "MPI_Iallgather");
  group_->wait(request, seconds);
  for (size_t i = 1; i < n; ++i) places[i] = places[i - 1] + counts[i - 1];
  std::string all(static_cast<size_t>(places.back() + counts.back()), '\0');
  if (all.empty()) return std::vector<std::string>(n);
  check(MPI_Iallgatherv(own.data(), bytes, MPI_CHAR, all.data(), counts.data(), places.data(),
                        MPI_CHAR, group_->world, request.data()),
        "MPI_Iallgatherv");
  group_->wait(request, seconds);
  std::vector<std::string> out;
  for (size_t i = 0; i < n; ++i)
    out.push_back(all.substr(static_cast<size_t>(places[i]), static_cast<size_t>(counts[i])));
  return out;
}

void Ranks::finish() const {
  if (!group_) return;
  if (!alone()) exchanged("", kMessageSeconds);  // MPI_Finalize waits without end
  MPI_Comm_free(&group_->world);
  MPI_Finalize();
}

void Ranks::abort(int code) const {
  // MPI_Abort waits for the launcher, which may have gone as well.
  std::thread([code] {
    std::this_thread::sleep_for(kAbort);
    std::_Exit(code);
  }).detach();
  if (group_) MPI_Abort(group_->world, code);
  std::_Exit(code);
}

struct Messages::Requests {
  std::shared_ptr<Ranks::Group> group;
  std::vector<MPI_Request> pending;

  // Calls start(data, count, request) for parts that an int counts.
  template <class Start>
  void add(char* data, size_t bytes, const char* call, const Start& start) {
    for (size_t done = 0; done < bytes;) {
      const size_t part = std::min(bytes - done, kMostBytes);
      check(start(data + done, static_cast<int>(part), &pending.emplace_back(MPI_REQUEST_NULL)),
            call);
      done += part;
    }
  }
};

Messages::Messages(Ranks ranks) : requests_(new Requests{ranks.group_, {}}) {}
Messages::Messages(Messages&&) noexcept = default;
Messages& Messages::operator=(Messages&&) noexcept = default;

Messages::~Messages() {
  // After a fault: what they point at goes.
  if (!requests_) return;
  for (MPI_Request& request : requests_->pending) {
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
}

void Messages::send(int to, int tag, const void* data, size_t bytes) {
  const auto start = [&](char* part, int count, MPI_Request* request) {
    return MPI_Isend(part, count, MPI_BYTE, to, tag, requests_->group->world, request);
  };
  requests_->add(static_cast<char*>(const_cast<void*>(data)), bytes, "MPI_Isend", start);
}

void Messages::receive(int from, int tag, void* data, size_t bytes) {
  const auto start = [&](char* part, int count, MPI_Request* request) {
    return MPI_Irecv(part, count, MPI_BYTE, from, tag, requests_->group->world, request);
  };
  requests_->add(static_cast<char*>(data), bytes, "MPI_Irecv", start);
}

// Of a rank alone there are none, nor is MPI there to ask.
bool Messages::arrived() {
  return requests_->pending.empty() || all_done(requests_->pending);
}

void Messages::wait() {
  if (requests_->pending.empty()) return;
  requests_->group->wait(requests_->pending, kMessageSeconds);
  requests_->pending.clear();
}

}  // namespace halftone
