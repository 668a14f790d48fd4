#include "app/many_ranks.h"

#include <ranges>
#include <sstream>

#include "app/failure.h"
#include "app/interrupt.h"
#include "halftone/tensor/device.h"

namespace halftone {
namespace {

// Between keys and values, of which none holds it.
constexpr char kSeparator = '\x1e';

std::map<std::string, std::string> entries_of(const std::string& text) {
  std::map<std::string, std::string> out;
  std::istringstream in(text);
  for (std::string key, value;
       std::getline(in, key, kSeparator) && std::getline(in, value, kSeparator);)
    out[key] = value;
  return out;
}

}  // namespace

int on_ranks(const std::function<int(const Ranks&)>& command) {
  const Ranks ranks = Ranks::of_launcher();
  share_gpus(ranks.place_on_host());
  const auto told_by_first = [&](int code) {
    return ranks.first() ? tell_failure(std::current_exception()) : code;
  };
  int code = 0;
  try {
    code = command(ranks);
  } catch (const AgreedError& error) {
    code = told_by_first(exit_code(error.kind()));
  } catch (const Interrupted&) {
    code = told_by_first(kExitInterrupted);
  } catch (...) {
    if (!ranks.alone())
      ranks.abort(
          tell_failure(std::current_exception(), fmt::format("halftone: rank {}", ranks.rank())));
    ranks.finish();
    throw;
  }
  ranks.finish();
  return code;
}

void require_agreement(const Ranks& ranks, ErrorKind kind,
                       const std::map<std::string, std::string>& own) {
  if (ranks.alone()) return;
  std::string text;
  for (const auto& [key, value] : own) text += key + kSeparator + value + kSeparator;
  // Of each key, who has which value.
  std::map<std::string, std::map<std::string, std::vector<int>>> found;
  int rank = 0;
  for (const std::string& given : ranks.gather(text)) {
    for (const auto& [key, value] : entries_of(given)) found[key][value].push_back(rank);
    ++rank;
  }
  std::vector<std::string> lines;
  for (const auto& [key, values] : found) {
    std::map<int, std::string> parts;  // by their lowest ranks
    size_t with = 0;
    for (const auto& [value, who] : values) {
      parts[who.front()] = fmt::format("{} has {}", ranks_text(who), printable(value));
      with += who.size();
    }
    if (values.size() > 1 || static_cast<int>(with) < ranks.size())
      lines.push_back(fmt::format("{}: {}; the same on all ranks expected", key,
                                  fmt::join(std::views::values(parts), ", ")));
  }
  if (!lines.empty()) throw AgreedError(kind, fmt::format("{}", fmt::join(lines, "\n")));
}

}  // namespace halftone
