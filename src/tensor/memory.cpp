#include "halftone/tensor/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <utility>

#include "halftone/base/error.h"

namespace halftone {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmall = 1 << 14;  // smaller blocks come from malloc
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSegment = size_t{64} << 20;  // asked of the operating system at a time

size_t rounded(size_t bytes, size_t step) {
  return (bytes + step - 1) / step * step;
}

// Segments from the operating system, cut into blocks: a request takes the smallest free block
// that holds it and gives back the rest; neighbours that are free become one again.
class Arena {
 public:
  // `size` is a multiple of the page. Null when the system has no more.
  void* take(size_t size) {
    auto fit = by_size_.lower_bound({size, nullptr});
    if (fit == by_size_.end()) {
      if (!grow(size)) return nullptr;
      fit = by_size_.lower_bound({size, nullptr});
    }
    const auto [whole, block] = *fit;
    remove(block, whole);
    if (whole > size) insert(block + size, whole - size);
    return block;
  }

  void give(void* at, size_t size) {
    char* block = static_cast<char*>(at);
    const auto next = by_address_.lower_bound(block);
    if (next != by_address_.end() && next->first == block + size && !starts_segment(next->first)) {
      size += next->second;
      remove(next->first, next->second);
    }
    const auto after = by_address_.lower_bound(block);
    if (after != by_address_.begin() && !starts_segment(block)) {
      const auto [before, length] = *std::prev(after);
      if (before + length == block) {
        remove(before, length);
        block = before;
        size += length;
      }
    }
    insert(block, size);
  }

  // Free segments go back to the operating system, and the pages of free blocks in the others.
  void release() {
    for (auto it = by_address_.begin(); it != by_address_.end();) {
      const auto [block, size] = *it++;
      const auto segment = segments_.find(block);
      if (segment != segments_.end() && segment->second == size) {
        remove(block, size);
        segments_.erase(segment);
        munmap(block, size);
      } else {
        madvise(block, size, MADV_DONTNEED);
      }
    }
  }

 private:
  bool grow(size_t size) {
    size = rounded(std::max(size, kSegment), kHugePage);
    void* start =
        mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return false;
    // Cut to whole huge pages: fewer page faults and address lookups.
    char* from = static_cast<char*>(start);
    char* begin = reinterpret_cast<char*>(rounded(reinterpret_cast<size_t>(from), kHugePage));
    if (begin != from) munmap(from, static_cast<size_t>(begin - from));
    munmap(begin + size, kHugePage - static_cast<size_t>(begin - from));
    madvise(begin, size, MADV_HUGEPAGE);
    segments_[begin] = size;
    insert(begin, size);
    return true;
  }
  bool starts_segment(char* block) const { return segments_.contains(block); }
  void insert(char* block, size_t size) {
    by_address_[block] = size;
    by_size_.insert({size, block});
  }
  void remove(char* block, size_t size) {
    by_address_.erase(block);
    by_size_.erase({size, block});
  }

  std::map<char*, size_t> by_address_, segments_;
  std::set<std::pair<size_t, char*>> by_size_;
};

struct Storage {
  std::mutex mutex;  // of the arena
  Arena arena;
  std::atomic<size_t> used_bytes = 0, peak_bytes = 0;

  void count(size_t size) {
    const size_t used = used_bytes += size;
    size_t peak = peak_bytes;
    while (peak < used && !peak_bytes.compare_exchange_weak(peak, used)) {
    }
  }
};

Storage& storage() {
  static Storage* instance = new Storage;  // outlives every tensor, static ones too
  return *instance;
}

// A sanitizer sees the bounds of what malloc gave, not of an arena's blocks.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kUseArena = false;
#else
constexpr bool kUseArena = true;
#endif

bool from_arena(size_t size) {
  return kUseArena && size >= kSmall;
}

void* take_new(size_t size) {
  if (!from_arena(size)) return std::aligned_alloc(kAlignment, size);
  const std::lock_guard lock(storage().mutex);
  return storage().arena.take(size);
}

void give_back(void* block, size_t size) {
  if (!from_arena(size)) return std::free(block);
  const std::lock_guard lock(storage().mutex);
  storage().arena.give(block, size);
}

// What a thread has freed of small blocks, by their size: the next of a size is taken from there,
// without a lock or a search. A decoded token asks for some thousand.
class KeptBlocks {
 public:
  ~KeptBlocks() {
    release();
    ended = true;
  }

  // Of this thread; null where none are kept: of large blocks, and at the thread's end.
  static KeptBlocks* of(size_t size) {
    if (!kUseArena || size >= kMostKept || ended) return nullptr;
    thread_local KeptBlocks blocks;
    return &blocks;
  }

  void* take(size_t size) {
    Link*& first = first_[size / kAlignment];
    if (!first) return take_new(size);
    bytes_ -= size;
    return std::exchange(first, first->next);
  }

  void give(void* block, size_t size) {
    if (bytes_ + size > kKeptBytes) return give_back(block, size);
    Link*& first = first_[size / kAlignment];
    first = new (block) Link{first};
    bytes_ += size;
  }

  void release() {
    for (size_t i = 0; i < first_.size(); ++i)
      while (first_[i]) give_back(std::exchange(first_[i], first_[i]->next), i * kAlignment);
    bytes_ = 0;
  }

 private:
  struct Link {
    Link* next;
  };
  static constexpr size_t kMostKept = 1 << 16, kKeptBytes = 4 << 20;
  static thread_local bool ended;

  std::array<Link*, kMostKept / kAlignment> first_{};
  size_t bytes_ = 0;
};

thread_local bool KeptBlocks::ended = false;

void* take(size_t size) {
  KeptBlocks* kept = KeptBlocks::of(size);
  return kept ? kept->take(size) : take_new(size);
}

void give(void* block, size_t size) {
  storage().used_bytes -= size;
  KeptBlocks* kept = KeptBlocks::of(size);
  return kept ? kept->give(block, size) : give_back(block, size);
}

}  // namespace

std::shared_ptr<void> allocate(size_t bytes) {
  const size_t size = rounded(std::max(bytes, kAlignment), bytes < kSmall ? kAlignment : kPage);
  if (size < bytes || size > SIZE_MAX / 2)
    throw_error(ErrorKind::memory, "out of memory: {} bytes asked for", bytes);
  void* block = take(size);
  if (!block)
    throw_error(ErrorKind::memory,
                "out of memory: {:.1f} MB asked for, {:.1f} MB in use by tensors", bytes / 1e6,
                static_cast<double>(storage().used_bytes) / 1e6);
  storage().count(size);
  return std::shared_ptr<void>(block, [size](void* b) { give(b, size); });
}

void release_kept_memory() {
  if (KeptBlocks* kept = KeptBlocks::of(0)) kept->release();
  Storage& s = storage();
  const std::lock_guard lock(s.mutex);
  s.arena.release();
}

size_t allocated_bytes() {
  return storage().used_bytes;
}

size_t peak_allocated_bytes() {
  return storage().peak_bytes;
}

void reset_peak_allocated_bytes() {
  storage().peak_bytes = storage().used_bytes.load();
}

size_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

size_t rss_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (!file) return 0;
  long total = 0, resident = 0;
  const int read = std::fscanf(file, "%ld %ld", &total, &resident);
  std::fclose(file);
  return read == 2 ? static_cast<size_t>(resident) * static_cast<size_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace halftone
