#include "halftone/tensor/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "halftone/base/error.h"

namespace halftone {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmall = 1 << 14;  // left to malloc, which is good at them

// Free blocks by size. A request takes the smallest block that fits and wastes at most an eighth.
struct Pool {
  std::mutex mutex;
  std::multimap<size_t, void*> kept;
  size_t kept_bytes = 0;
  size_t used_bytes = 0;

  void clear() {
    for (auto& [size, block] : kept) std::free(block);
    kept.clear();
    kept_bytes = 0;
  }
};

Pool& pool() {
  static Pool* instance = new Pool;  // outlives every tensor, static ones too
  return *instance;
}

size_t rounded(size_t bytes) {
  const size_t step = bytes < kSmall ? kAlignment : 4096;
  return (bytes + step - 1) / step * step;
}

void give_back(void* block, size_t size) {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.used_bytes -= size;
  if (size < kSmall) return std::free(block);
  p.kept.emplace(size, block);
  p.kept_bytes += size;
}

}  // namespace

std::shared_ptr<void> allocate(size_t bytes) {
  const size_t size = rounded(std::max(bytes, kAlignment));
  if (size < bytes) throw_error(ErrorKind::memory, "out of memory: {} bytes asked for", bytes);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  void* block = nullptr;
  size_t got = size;
  if (const auto it = p.kept.lower_bound(size);
      it != p.kept.end() && it->first <= size + size / 8) {
    got = it->first;
    block = it->second;
    p.kept_bytes -= got;
    p.kept.erase(it);
  } else if (!(block = std::aligned_alloc(kAlignment, size))) {
    p.clear();
    block = std::aligned_alloc(kAlignment, size);
  }
  if (!block)
    throw_error(ErrorKind::memory,
                "out of memory: {:.1f} MB asked for, {:.1f} MB in use by tensors", bytes / 1e6,
                p.used_bytes / 1e6);
  p.used_bytes += got;
  return std::shared_ptr<void>(block, [got](void* b) { give_back(b, got); });
}

void release_kept_memory() {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.clear();
}

size_t allocated_bytes() {
  const std::lock_guard lock(pool().mutex);
  return pool().used_bytes;
}

size_t kept_bytes() {
  const std::lock_guard lock(pool().mutex);
  return pool().kept_bytes;
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
