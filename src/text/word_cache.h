// Ids of words that were seen before. Text repeats its words: this is most of a tokenizer's speed.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace halftone {

class WordCache {
 public:
  // Appends the ids of `word`, from make(word) when it is new. Safe from many threads.
  template <class Make>
  void append(std::string_view word, std::vector<int32_t>& out, const Make& make) {
    if (word.size() > kLongest) {
      const std::vector<int32_t> ids = make(word);
      out.insert(out.end(), ids.begin(), ids.end());
      return;
    }
    std::string key(word);
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = ids_.find(key); it != ids_.end()) {
        out.insert(out.end(), it->second.begin(), it->second.end());
        return;
      }
    }
    std::vector<int32_t> ids = make(word);
    out.insert(out.end(), ids.begin(), ids.end());
    const std::lock_guard lock(mutex_);
    if (ids_.size() >= kMost) ids_.clear();
    ids_.emplace(std::move(key), std::move(ids));
  }

 private:
  static constexpr size_t kLongest = 64;  // bytes
  static constexpr size_t kMost = 200000;

  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<int32_t>> ids_;
};

}  // namespace halftone
