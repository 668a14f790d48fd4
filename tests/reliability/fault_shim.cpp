// A library for LD_PRELOAD that makes one file operation of a program fail, or the program die at
// it. Operations count that touch something below one directory, from 1 on.
//
//   HALFTONE_FAULT_DIR     the directory, as the kernel names it
//   HALFTONE_FAULT_KIND    kill: dies in front of the operation (names, sizes and data alone count)
//                          torn: a write puts half of its bytes down, then the program dies
//                          power, power_data: dies there, and what was not flushed is lost, names
//                          and data or data alone (power_loss.h)
//                          eio, eio_read: the operation fails with EIO; eio counts operations that
//                          change something, eio_read those that look
//                          enospc: it and all behind it that need space fail with ENOSPC
//                          eintr: fails once with EINTR, where the kernel may
//                          short: a read or write does half of its bytes
//                          keep: nothing is removed, at any number; the program is told it was
//   HALFTONE_FAULT_AT      the number of the operation; 0: none
//   HALFTONE_FAULT_REPORT  gets "<operation> <path>" of the fault, or the count at the end
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "power_loss.h"

namespace {

// What an operation is, for the kinds of fault to choose from.
enum Class : unsigned {
  kLook = 1,         // opens to read, examines, lists
  kRead = 2,         // data
  kCreate = 4,       // opens to write; makes a directory
  kWrite = 8,        // data
  kResize = 16,      // ftruncate
  kSync = 32,        // fsync
  kName = 64,        // rename, link
  kRemove = 128,     // unlink, rmdir
  kClose = 256,      // of what was open to write
  kInterrupt = 512,  // may be interrupted by a signal
};
constexpr unsigned kChanges = kCreate | kWrite | kResize | kSync | kName | kRemove | kClose;
constexpr unsigned kNeedsSpace = kCreate | kWrite | kResize | kSync | kName;

struct Kind {
  const char* name;
  unsigned counted;
  int error;  // 0: none
  enum Effect { die, tear, lose_all, lose_data, fail, fail_on, shorten, pretend } effect;
};
constexpr Kind kKinds[] = {
    {"kill", kChanges, 0, Kind::die},
    {"torn", kWrite, 0, Kind::tear},
    {"power", kChanges, 0, Kind::lose_all},
    {"power_data", kChanges, 0, Kind::lose_data},
    {"eio", kChanges, EIO, Kind::fail},
    {"eio_read", kLook | kRead, EIO, Kind::fail},
    {"enospc", kNeedsSpace, ENOSPC, Kind::fail_on},
    {"eintr", kInterrupt, EINTR, Kind::fail},
    {"short", kRead | kWrite, 0, Kind::shorten},
    {"keep", kRemove, 0, Kind::pretend},
};

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

struct Plan {
  std::string directory = variable("HALFTONE_FAULT_DIR");
  std::string report = variable("HALFTONE_FAULT_REPORT");
  const Kind* kind = nullptr;
  long at = std::atol(variable("HALFTONE_FAULT_AT"));
  std::atomic<long> count{0};
  std::unique_ptr<halftone_fault::FlushedState> flushed;

  Plan() {
    for (const Kind& k : kKinds)
      if (std::strcmp(k.name, variable("HALFTONE_FAULT_KIND")) == 0) kind = &k;
  }
  bool loses_power() const {
    return kind && (kind->effect == Kind::lose_all || kind->effect == Kind::lose_data);
  }
  bool covers(const std::string& path) const { return path.starts_with(directory); }
  // What is done to follow the flushed state is not counted.
  template <class Action>
  void uncounted(const Action& action) {
    const Kind* kept = std::exchange(kind, nullptr);
    action(kept);
    kind = kept;
  }
};

Plan& plan() {
  static Plan the_plan;
  return the_plan;
}

template <class Function>
Function* next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
// The function that this library stands in front of.
#define NEXT(function)                                   \
  static const auto real = next(&::function, #function); \
  if (!real) std::abort()

void put_report(const char* text) {
  const int fd = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, plan().report.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
  (void)!syscall(SYS_write, fd, text, std::strlen(text));
  syscall(SYS_close, fd);
}

// Before main, and behind it.
struct AtExit {
  AtExit() {
    if (plan().loses_power())
      plan().uncounted([](const Kind*) {
        plan().flushed = std::make_unique<halftone_fault::FlushedState>(plan().directory);
      });
  }
  ~AtExit() {
    const long count = plan().count;
    if (plan().kind && (plan().at == 0 || count < plan().at))
      put_report(std::to_string(count).c_str());
  }
} at_exit;

std::string path_of(int fd) {
  char link[40], target[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = syscall(SYS_readlink, link, target, sizeof target);
  return n > 0 ? std::string(target, static_cast<size_t>(n)) : std::string();
}

std::string path_of(int directory, const char* name) {
  if (!name || name[0] == '\0') return path_of(directory);
  if (name[0] == '/') return name;
  char here[PATH_MAX] = "";
  if (directory == AT_FDCWD) syscall(SYS_getcwd, here, sizeof here);
  return (directory == AT_FDCWD ? std::string(here) : path_of(directory)) + "/" + name;
}

enum class Verdict { pass, fail, half, pretend };

// Counts an operation and says what becomes of it; does not return where the program dies. errno
// is set for Verdict::fail.
Verdict judge(unsigned operation, const char* name, const std::string& path) {
  Plan& p = plan();
  if (!p.kind || !(operation & p.kind->counted)) return Verdict::pass;
  if (!p.covers(path)) return Verdict::pass;
  if (p.kind->effect == Kind::pretend) return Verdict::pretend;
  const long number = ++p.count;
  if (p.at == 0 || number < p.at) return Verdict::pass;
  if (number > p.at && p.kind->effect != Kind::fail_on) return Verdict::pass;
  if (number == p.at) put_report((std::string(name) + " " + path).c_str());
  switch (p.kind->effect) {
    case Kind::lose_all:
    case Kind::lose_data:
      p.uncounted([&](const Kind* k) { p.flushed->restore(k->effect == Kind::lose_data); });
      [[fallthrough]];
    case Kind::die:
      ::kill(::getpid(), SIGKILL);
      return Verdict::fail;
    case Kind::fail:
    case Kind::fail_on:
      errno = p.kind->error;
      return Verdict::fail;
    default:
      return Verdict::half;
  }
}

size_t half_of(size_t bytes) {
  return bytes > 1 ? bytes / 2 : bytes;
}

// Behind half a write.
void die_if_torn() {
  if (plan().kind->effect == Kind::tear) ::kill(::getpid(), SIGKILL);
}

template <class Transfer>
ssize_t transfer(unsigned operation, const char* name, int fd, size_t bytes, Transfer carry_out) {
  switch (judge(operation | kInterrupt, name, path_of(fd))) {
    case Verdict::fail:
      return -1;
    case Verdict::half: {
      const ssize_t done = carry_out(half_of(bytes));
      die_if_torn();
      return done;
    }
    default:
      return carry_out(bytes);
  }
}

template <class Remove>
int removal(const std::string& path, const char* name, Remove carry_out) {
  switch (judge(kRemove, name, path)) {
    case Verdict::fail:
      return -1;
    case Verdict::pretend:
      return 0;
    default:
      return carry_out();
  }
}

unsigned open_class(int flags) {
  return kInterrupt | ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT) ? kLook : kCreate);
}

mode_t mode_in(int flags, va_list arguments) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

bool writes(const char* mode) {
  return std::strpbrk(mode, "wa+") != nullptr;
}

}  // namespace

#define FAILS(operation, path) (judge(operation, __func__, path) == Verdict::fail)

extern "C" {

int openat(int directory, const char* name, int flags, ...) {
  NEXT(openat);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  const std::string path = path_of(directory, name);
  if (FAILS(open_class(flags), path)) return -1;
  const int fd = real(directory, name, flags, mode);
  if (fd >= 0 && (flags & O_CREAT) && plan().flushed && plan().covers(path))
    plan().uncounted([&](const Kind*) { plan().flushed->begin(fd); });
  return fd;
}

int openat64(int directory, const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return openat(directory, name, flags, mode);
}

int open(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return openat(AT_FDCWD, name, flags, mode);
}

int open64(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return openat(AT_FDCWD, name, flags, mode);
}

// What goes through a FILE is not seen behind this; the program writes none below its directories.
FILE* fopen64(const char* name, const char* mode) {
  NEXT(fopen64);
  if (FAILS(kInterrupt | (writes(mode) ? kCreate : kLook), path_of(AT_FDCWD, name))) return nullptr;
  return real(name, mode);
}

FILE* fopen(const char* name, const char* mode) {
  return fopen64(name, mode);
}

DIR* opendir(const char* name) {
  NEXT(opendir);
  return FAILS(kLook, path_of(AT_FDCWD, name)) ? nullptr : real(name);
}

int fstatat(int directory, const char* name, struct stat* out, int flags) {
  NEXT(fstatat);
  return FAILS(kLook, path_of(directory, name)) ? -1 : real(directory, name, out, flags);
}

int stat(const char* name, struct stat* out) {
  NEXT(stat);
  return FAILS(kLook, path_of(AT_FDCWD, name)) ? -1 : real(name, out);
}

int lstat(const char* name, struct stat* out) {
  NEXT(lstat);
  return FAILS(kLook, path_of(AT_FDCWD, name)) ? -1 : real(name, out);
}

int fstat(int fd, struct stat* out) {
  NEXT(fstat);
  return FAILS(kLook, path_of(fd)) ? -1 : real(fd, out);
}

ssize_t read(int fd, void* data, size_t bytes) {
  NEXT(read);
  return transfer(kRead, __func__, fd, bytes, [&](size_t n) { return real(fd, data, n); });
}

ssize_t pread(int fd, void* data, size_t bytes, off_t offset) {
  NEXT(pread);
  return transfer(kRead, __func__, fd, bytes, [&](size_t n) { return real(fd, data, n, offset); });
}

ssize_t pread64(int fd, void* data, size_t bytes, off_t offset) {
  return pread(fd, data, bytes, offset);
}

ssize_t write(int fd, const void* data, size_t bytes) {
  NEXT(write);
  return transfer(kWrite, __func__, fd, bytes, [&](size_t n) { return real(fd, data, n); });
}

ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  NEXT(pwrite);
  return transfer(kWrite, __func__, fd, bytes, [&](size_t n) { return real(fd, data, n, offset); });
}

ssize_t pwrite64(int fd, const void* data, size_t bytes, off_t offset) {
  return pwrite(fd, data, bytes, offset);
}

// libstdc++'s streams write their buffer and a long string so: half of it is the first piece.
ssize_t writev(int fd, const struct iovec* pieces, int count) {
  NEXT(writev);
  return transfer(kWrite, __func__, fd, static_cast<size_t>(count),
                  [&](size_t n) { return real(fd, pieces, static_cast<int>(n)); });
}

int ftruncate(int fd, off_t bytes) {
  NEXT(ftruncate);
  return FAILS(kResize | kInterrupt, path_of(fd)) ? -1 : real(fd, bytes);
}

int ftruncate64(int fd, off_t bytes) {
  return ftruncate(fd, bytes);
}

int fsync(int fd) {
  NEXT(fsync);
  const std::string path = path_of(fd);
  if (FAILS(kSync | kInterrupt, path)) return -1;
  if (plan().flushed && plan().covers(path))
    plan().uncounted([&](const Kind*) { plan().flushed->flush(path); });
  return real(fd);
}

// Linux closes whatever it answers.
int close(int fd) {
  NEXT(close);
  const std::string path = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? "" : path_of(fd);
  const bool fails = FAILS(kClose | kInterrupt, path);
  const int error = errno, result = real(fd);
  if (!fails) return result;
  errno = error;
  return -1;
}

int flock(int fd, int operation) {
  NEXT(flock);
  return FAILS(kInterrupt, path_of(fd)) ? -1 : real(fd, operation);
}

int rename(const char* from, const char* to) {
  NEXT(rename);
  return FAILS(kName, path_of(AT_FDCWD, to)) ? -1 : real(from, to);
}

int renameat2(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) {
  NEXT(renameat2);
  return FAILS(kName, path_of(to_directory, to))
             ? -1
             : real(from_directory, from, to_directory, to, flags);
}

int unlinkat(int directory, const char* name, int flags) {
  NEXT(unlinkat);
  return removal(path_of(directory, name), __func__, [&] { return real(directory, name, flags); });
}

int unlink(const char* name) {
  NEXT(unlink);
  return removal(path_of(AT_FDCWD, name), __func__, [&] { return real(name); });
}

int rmdir(const char* name) {
  NEXT(rmdir);
  return removal(path_of(AT_FDCWD, name), __func__, [&] { return real(name); });
}

int remove(const char* name) {
  NEXT(remove);
  return removal(path_of(AT_FDCWD, name), __func__, [&] { return real(name); });
}

int mkdir(const char* name, mode_t mode) {
  NEXT(mkdir);
  return FAILS(kCreate, path_of(AT_FDCWD, name)) ? -1 : real(name, mode);
}

}  // extern "C"
