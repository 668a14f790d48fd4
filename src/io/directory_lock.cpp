#include "halftone/io/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"

namespace halftone {

DirectoryLock::DirectoryLock(const std::string& directory) {
  const std::string path = directory + "/.lock";
  // O_NONBLOCK: a FIFO under this name must not hang the program.
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) throw_io(path, "open", errno);
  int failed = 0;
  while ((failed = ::flock(descriptor_, LOCK_EX | LOCK_NB)) != 0 && errno == EINTR) {
  }
  if (failed) {
    const int cause = errno;
    char pid[24] = "";
    const ssize_t read = ::pread(descriptor_, pid, sizeof pid - 1, 0);
    ::close(descriptor_);
    if (cause != EWOULDBLOCK) throw_io(path, "lock", cause);
    throw_error(ErrorKind::recipe, "{}: in use by another run (process {})", directory,
                read > 0 ? std::to_string(std::atoll(pid)) : "unknown");
  }
  // What the file says is for people alone; the lock is the kernel's.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const int cause = errno;
    ::close(descriptor_);
    throw_io(path, "write", cause);
  }
}

DirectoryLock::~DirectoryLock() {
  ::close(descriptor_);
}

}  // namespace halftone
