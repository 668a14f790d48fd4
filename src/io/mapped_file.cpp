#include "halftone/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "descriptor.h"

namespace halftone {
namespace {

[[noreturn]] void throw_errno(const std::string& path, const char* what) {
  throw_error(read_failure(errno), "{}: {}: {}", path, what, std::strerror(errno));
}

const char* kind_of_file(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

RegularFile::RegularFile(const std::string& path) : path_(path) {
  if (path.find('\0') != std::string::npos)
    throw_error(ErrorKind::format, "{}: a file name cannot hold a zero byte", printable(path));
  // O_NONBLOCK: opening a FIFO that nobody writes must not wait.
  descriptor_ =
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); });
  if (descriptor_ < 0) throw_errno(path, "cannot be opened");
  try {
    examine();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

RegularFile::State RegularFile::state_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<uint64_t>(status.st_size),
          .modified_seconds = status.st_mtim.tv_sec,
          .modified_nanoseconds = status.st_mtim.tv_nsec};
}

void RegularFile::examine() {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) throw_errno(path_, "cannot be examined");
  if (!S_ISREG(status.st_mode))
    throw_error(ErrorKind::format, "{}: is {}, a regular file is expected", path_,
                kind_of_file(status.st_mode));
  state_ = state_of(status);
  constexpr std::string_view kPointer = "version https://git-lfs.github.com/spec/";
  if (size() < 1024 && start(kPointer.size()) == kPointer)
    throw_error(
        ErrorKind::format,
        "{}: is a Git LFS pointer, the file itself is expected: fetch it with `git lfs pull`",
        path_);
}

RegularFile::~RegularFile() {
  ::close(descriptor_);
}

size_t RegularFile::read(uint64_t offset, void* out, size_t bytes) const {
  const ssize_t got = read_at(descriptor_, offset, out, bytes);
  if (got < 0) throw_errno(path_, "reading failed");
  return static_cast<size_t>(got);
}

std::string RegularFile::start(size_t bytes) const {
  std::string out(bytes, '\0');
  out.resize(read(0, out.data(), bytes));
  return out;
}

void RegularFile::expect_unchanged() const {
  struct stat status {};
  if (::fstat(descriptor_, &status)) throw_errno(path_, "cannot be examined");
  if (state_of(status) != state_)
    throw_error(ErrorKind::format, "{}: was changed by another program while it was read", path_);
}

bool RegularFile::is_at(const std::string& path) const {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && state_of(status) == state_;
}

MappedFile::MappedFile(const std::string& path) : file_(path) {
  if (file_.size() == 0) return;  // nothing to map
  void* map = ::mmap(nullptr, size(), PROT_READ, MAP_PRIVATE, file_.descriptor(), 0);
  if (map == MAP_FAILED) throw_errno(path, "cannot be mapped");
  data_ = static_cast<const uint8_t*>(map);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), size());
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  return std::shared_ptr<const MappedFile>(new MappedFile(path));
}

Tensor mapped_tensor(const std::shared_ptr<const MappedFile>& file, uint64_t offset, Shape shape,
                     DType dtype) {
  const uint8_t* data = file->data() + offset;
  // A block of numbers lies where the numbers in it may.
  const size_t alignment = dtype == DType::q8_0 ? alignof(q8_0_t) : dtype_bytes(dtype);
  if (reinterpret_cast<uintptr_t>(data) % alignment == 0)
    return Tensor::view(file, data, std::move(shape), dtype);
  Tensor copy = Tensor::uninitialized(std::move(shape), dtype);
  if (copy.bytes()) std::memcpy(copy.raw(), data, copy.bytes());
  return copy;
}

}  // namespace halftone
