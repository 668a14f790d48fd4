#include "halftone/io/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"

namespace halftone {

DirectoryLock::DirectoryLock(const std::string& directory) {
  const std::string path = directory + "/.lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0666);
  if (fd_ < 0) throw_io(path, "create", errno);
  int result;
  do result = ::flock(fd_, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  const int error = errno;
  if (result != 0) {
    char text[32] = {};
    const ssize_t size = ::pread(fd_, text, sizeof text, 0);
    ::close(fd_);
    if (error != EWOULDBLOCK) throw_io(path, "lock", error);
    // The file may be anything; only a number is believed.
    const std::string_view holder(text, size > 0 ? static_cast<size_t>(size) : 0);
    const bool pid = !holder.empty() && std::all_of(holder.begin(), holder.end(),
                                                    [](char c) { return c >= '0' && c <= '9'; });
    throw_error(ErrorKind::recipe, "{}: in use by {}; one run at a time in a run directory",
                directory, pid ? "process " + std::string(holder) : "another process");
  }
  // The number is only for the message above: failing to write it harms nobody.
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0) errno = 0;
}

DirectoryLock::~DirectoryLock() {
  // The file stays: unlinking it would let two processes lock two files of that name.
  ::close(fd_);
}

}  // namespace halftone
