// What ranks agree on, and what a build without MPI says of them; with it, ranks_mpi.cpp does.
#include "halftone/base/ranks.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <optional>

namespace halftone {
namespace {

// While one rank works, the others wait: nobody knows how long.
constexpr double kWithoutEnd = 1e18;

// What a part ended with, as it travels: nothing, or the error's kind and its text.
std::string outcome(const std::function<void()>& part) {
  const auto told = [](ErrorKind kind, const std::string& text) {
    return static_cast<char>('0' + static_cast<int>(kind)) + text;
  };
  try {
    part();
  } catch (const Error& error) {
    return told(error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    return told(ErrorKind::memory, "out of memory");
  }
  return "";
}

}  // namespace

std::vector<std::string> Ranks::gather(const std::string& own) const {
  return alone() ? std::vector{own} : exchanged(own, kMessageSeconds);
}

std::vector<std::vector<double>> Ranks::gather(const std::vector<double>& own) const {
  std::string bytes(own.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), own.data(), bytes.size());
  std::vector<std::vector<double>> out;
  for (const std::string& found : gather(bytes)) {
    out.emplace_back(found.size() / sizeof(double));
    std::memcpy(out.back().data(), found.data(), found.size());
  }
  return out;
}

bool Ranks::any(bool own) const {
  if (alone()) return own;
  for (const std::string& found : gather(std::string(own ? "1" : "")))
    if (!found.empty()) return true;
  return false;
}

void Ranks::together(const std::function<void()>& part) const {
  if (alone()) return part();
  std::map<std::string, std::vector<int>> ranks_of;
  std::vector<std::string> texts;  // in the order of their lowest ranks
  std::optional<ErrorKind> kind;
  const std::vector<std::string> outcomes = exchanged(outcome(part), kWithoutEnd);
  for (int rank = 0; rank < size(); ++rank) {
    const std::string& found = outcomes[static_cast<size_t>(rank)];
    if (found.empty()) continue;
    if (!kind) kind = static_cast<ErrorKind>(found[0] - '0');
    const std::string text = found.substr(1);
    if (!ranks_of.contains(text)) texts.push_back(text);
    ranks_of[text].push_back(rank);
  }
  if (!kind) return;
  for (std::string& text : texts)
    if (const auto& ranks = ranks_of[text]; static_cast<int>(ranks.size()) < size())
      text = fmt::format("{}: {}", ranks_text(ranks), text);
  throw AgreedError(*kind, fmt::format("{}", fmt::join(texts, "\n")));
}

void Ranks::first_does(const std::function<void()>& part) const {
  together([&] {
    if (first()) part();
  });
}

std::string ranks_text(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

#ifndef HALFTONE_MPI

struct Ranks::Group {};
struct Messages::Requests {};

Ranks Ranks::of_launcher() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* size = std::getenv(name);
    if (size && std::atoi(size) > 1)
      throw_error(ErrorKind::recipe,
                  "{} = {}: several ranks were started, but this build of Halftone runs as one "
                  "alone; configure it with -DHALFTONE_MPI=ON",
                  name, printable(size));
  }
  return {};
}

int Ranks::size() const {
  return 1;
}

int Ranks::rank() const {
  return 0;
}

int Ranks::cores() const {
  return 0;
}

int Ranks::place_on_host() const {
  return 0;
}

std::vector<std::string> Ranks::exchanged(const std::string& own, double) const {
  return {own};
}

void Ranks::wait(const std::function<bool()>& done) const {
  while (!done()) {
  }
}

void Ranks::finish() const {}

void Ranks::abort(int code) const {
  std::_Exit(code);
}

Messages::Messages(Ranks) {}
Messages::~Messages() = default;
Messages::Messages(Messages&&) noexcept = default;
Messages& Messages::operator=(Messages&&) noexcept = default;

void Messages::send(int to, int, const void*, size_t) {
  throw std::invalid_argument(fmt::format("Messages: to rank {} of 1", to));
}

void Messages::receive(int from, int, void*, size_t) {
  throw std::invalid_argument(fmt::format("Messages: from rank {} of 1", from));
}

bool Messages::arrived() {
  return true;
}

void Messages::wait() {}

#endif

}  // namespace halftone
