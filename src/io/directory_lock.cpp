#include "halftone/io/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "descriptor.h"
#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"

namespace halftone {

DirectoryLock::DirectoryLock(const std::string& directory) {
  const std::string path = directory + "/.lock";
  // O_NONBLOCK: a FIFO under this name must not hang the program.
  file_ = std::make_unique<Descriptor>(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW, path);
  if (uninterrupted([&] { return ::flock(file_->get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) throw_io(path, "lock", errno);
    char pid[24] = "";
    const ssize_t read = ::pread(file_->get(), pid, sizeof pid - 1, 0);
    throw_error(ErrorKind::recipe, "{}: in use by another run (process {})", directory,
                read > 0 ? std::to_string(std::atoll(pid)) : "unknown");
  }
  // What the file says is for people alone; the lock is the kernel's.
  const std::string pid = std::to_string(::getpid()) + "\n";
  file_->resize(0);
  file_->write_at(0, pid.data(), pid.size());
}

DirectoryLock::~DirectoryLock() = default;

}  // namespace halftone
