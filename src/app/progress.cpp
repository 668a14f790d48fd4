#include "app/progress.h"

#include <unistd.h>

#include <algorithm>

#include "app/console.h"

namespace halftone {
namespace {
constexpr double kTerminalSeconds = 0.2;
constexpr double kLineSeconds = 10;
constexpr int kBarWidth = 24;
}  // namespace

std::string duration_text(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{} h {:02d} m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{} m {:02d} s", s / 60, s % 60);
  return fmt::format("{} s", s);
}

Progress::Progress(std::string what, int64_t total, bool quiet, int64_t first)
    : what_(std::move(what)),
      total_(std::max<int64_t>(total, 1)),
      first_(first),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO)),
      start_(std::chrono::steady_clock::now()),
      shown_(start_ - std::chrono::hours(1)) {}

Progress::~Progress() {
  finish();
}

void Progress::update(int64_t done, const std::string& text) {
  if (quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  if (done < total_ && std::chrono::duration<double>(now - shown_).count() <
                           (terminal_ ? kTerminalSeconds : kLineSeconds))
    return;
  shown_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double left = elapsed * static_cast<double>(total_ - done) /
                      static_cast<double>(std::max<int64_t>(done - first_, 1));
  const std::string tail =
      fmt::format("{}/{}  {}  left {}", done, total_, text, duration_text(left));
  if (terminal_) {
    const int filled = static_cast<int>(kBarWidth * done / total_);
    say("\r\033[K{} [{}{}] {}", what_, std::string(filled, '='),
        std::string(kBarWidth - filled, ' '), tail);
    open_ = true;
  } else {
    say("{} {}\n", what_, tail);
  }
}

void Progress::finish() {
  if (open_) say("\n");
  open_ = false;
}

}  // namespace halftone
