// The ranks of a run: the processes that an MPI launcher (mpirun, srun) started together. A process
// of its own is one rank, and so is every process of a build without HALFTONE_MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/error.h"

namespace halftone {

// An error that every rank throws, by together(): it is told once, and the ranks end in order.
class AgreedError : public Error {
 public:
  using Error::Error;
};

// Seconds that a rank waits for the others at most, but in together(), where one may have to work.
inline constexpr double kMessageSeconds = 600;

// A handle, cheap to copy. Collective calls are made by all ranks in one order; a wait ends with
// Error(io) when a rank of this host has ended, which it names, when MPI reports a fault, and when
// it has taken kMessageSeconds.
class Ranks {
 public:
  Ranks() = default;  // one
  // All that the launcher of this process started. To be called once, by the thread that makes all
  // further calls. Throws Error(recipe) where they are several and the build has no MPI.
  static Ranks of_launcher();

  int size() const;
  int rank() const;
  bool first() const { return rank() == 0; }
  bool alone() const { return size() == 1; }
  // Cores for this rank, where it shares those that it may use with others of its host; 0: it has
  // them for itself.
  int cores() const;
  // Its number among the ranks of its host, from 0.
  int place_on_host() const;

  // Collective. What each rank gave, rank by rank, on every rank.
  std::vector<std::string> gather(const std::string& own) const;
  std::vector<std::vector<double>> gather(const std::vector<double>& own) const;
  bool any(bool own) const;
  // Carries `part` out on every rank and waits for all. Where it threw on some, all throw
  // AgreedError: of the kind of the lowest such rank, a line each different text with its ranks.
  void together(const std::function<void()>& part) const;
  // The same on the first rank, while the others wait.
  void first_does(const std::function<void()>& part) const;

  // Until done(), which tells whether what this rank waits for of the others is there.
  void wait(const std::function<bool()>& done) const;

  // The last calls: all ranks are done; or this one cannot go on, and ends all with an exit code.
  void finish() const;
  [[noreturn]] void abort(int code) const;

 private:
  friend class Messages;
  struct Group;
  explicit Ranks(std::shared_ptr<Group> group) : group_(std::move(group)) {}
  // gather() of several ranks, which waits so long at most.
  std::vector<std::string> exchanged(const std::string& own, double seconds) const;

  std::shared_ptr<Group> group_;  // null: one rank
};

// Messages between ranks under way. What they read and write must stay where it is until wait().
// Those of one tag from one rank to another arrive in the order in which they were sent.
class Messages {
 public:
  explicit Messages(Ranks ranks);
  ~Messages();
  Messages(Messages&&) noexcept;
  Messages& operator=(Messages&&) noexcept;

  void send(int to, int tag, const void* data, size_t bytes);
  void receive(int from, int tag, void* data, size_t bytes);
  bool arrived();  // all of them; lets those under way go on
  void wait();

 private:
  struct Requests;
  std::unique_ptr<Requests> requests_;
};

// How texts that ranks gave are told apart: "rank 2", "ranks 0, 1, 3".
std::string ranks_text(const std::vector<int>& ranks);

}  // namespace halftone
