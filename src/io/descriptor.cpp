#include "descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "halftone/io/atomic_file.h"

namespace halftone {

ssize_t read_at(int fd, uint64_t offset, void* out, size_t bytes) {
  size_t got = 0;
  while (got < bytes) {
    const ssize_t n = uninterrupted([&] {
      return ::pread(fd, static_cast<char*>(out) + got, bytes - got,
                     static_cast<off_t>(offset + got));
    });
    if (n < 0) return n;
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(got);
}

Descriptor::Descriptor(const std::string& file, int flags, std::string reported,
                       std::string_view action)
    : reported_(std::move(reported)),
      fd_(uninterrupted([&] { return ::open(file.c_str(), flags | O_CLOEXEC, 0666); })) {
  if (fd_ < 0) fail(action);
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

void Descriptor::fail(std::string_view action) const {
  throw_io(reported_, action, errno);
}

void Descriptor::write(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    io_step(IoStep::write);
    const ssize_t n = uninterrupted([&] { return ::write(fd_, at, bytes); });
    if (n < 0) fail("write");
    at += n;
    bytes -= static_cast<size_t>(n);
  }
}

void Descriptor::write_at(uint64_t offset, const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    io_step(IoStep::write);
    const ssize_t n =
        uninterrupted([&] { return ::pwrite(fd_, at, bytes, static_cast<off_t>(offset)); });
    if (n < 0) fail("write");
    at += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

size_t Descriptor::read_at(uint64_t offset, void* out, size_t bytes) const {
  const ssize_t got = halftone::read_at(fd_, offset, out, bytes);
  if (got < 0) fail("read");
  return static_cast<size_t>(got);
}

void Descriptor::resize(uint64_t bytes) {
  if (uninterrupted([&] { return ::ftruncate(fd_, static_cast<off_t>(bytes)); }) != 0)
    fail("resize");
}

void Descriptor::sync() {
  if (uninterrupted([&] { return ::fsync(fd_); }) != 0) fail("flush to disk");
}

void Descriptor::close() {
  // Linux gives the descriptor back even where a signal interrupts it.
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) fail("close");
}

}  // namespace halftone
