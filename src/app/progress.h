// Progress on stderr: a bar where it is a terminal, plain lines every few seconds where it is not.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace halftone {

class Progress {
 public:
  // `first`: where a resumed stage begins; it says nothing about the time left.
  Progress(std::string what, int64_t total, bool quiet, int64_t first = 0);
  ~Progress();
  // `done` of the total, and what to say beside it.
  void update(int64_t done, const std::string& text);
  void finish();

 private:
  std::string what_;
  int64_t total_, first_;
  bool quiet_, terminal_, open_ = false;
  std::chrono::steady_clock::time_point start_, shown_;
};

std::string duration_text(double seconds);  // "1 h 02 m", "3 m 20 s", "12 s"

}  // namespace halftone
