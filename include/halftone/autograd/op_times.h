// Where the time of a computation goes: seconds and calls by op and pass. Ops run one after
// another, so the time since the last mark is the op's that is recorded now.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace halftone {

class OpTimes {
 public:
  enum class Pass { forward, backward, no_grad };
  struct Total {
    double seconds = 0;
    int64_t calls = 0;
  };

  // `wait` is called before each look at the clock: for devices that run beside the CPU.
  explicit OpTimes(std::function<void()> wait = {}) : wait_(std::move(wait)) {}

  // The time from here on belongs to what is counted next.
  void mark() {
    if (wait_) wait_();
    last_ = std::chrono::steady_clock::now();
  }
  void count(const std::string& op, Pass pass) {
    if (wait_) wait_();
    const auto now = std::chrono::steady_clock::now();
    Total& total = totals_[{op, pass}];
    total.seconds += std::chrono::duration<double>(now - last_).count();
    ++total.calls;
    last_ = now;
  }
  const std::map<std::pair<std::string, Pass>, Total>& totals() const { return totals_; }

 private:
  std::function<void()> wait_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::map<std::pair<std::string, Pass>, Total> totals_;
};

}  // namespace halftone
