#include "halftone/io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "halftone/base/error.h"

namespace halftone {
namespace {

constexpr const char* kTemporary = ".tmp.";  // between a file's name and the writer's pid

// A descriptor that is closed on every way out.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void sync_path(const std::string& path, int flags, const std::string& reported) {
  Descriptor file(::open(path.c_str(), flags | O_CLOEXEC));
  if (file.get() < 0) throw_io(reported, "open to flush", errno);
  // A failed fsync is final: the kernel may have dropped the dirty pages, a second one would lie.
  if (::fsync(file.get()) != 0) throw_io(reported, "flush to disk", errno);
}

}  // namespace

void throw_io(const std::string& path, std::string_view action, int error_number) {
  throw_error(ErrorKind::io, "{}: cannot {}: {}", path, action,
              std::generic_category().message(error_number));
}

IoStepHook& io_step_hook() {
  static IoStepHook hook = nullptr;
  return hook;
}

void io_step(IoStep step) {
  if (io_step_hook()) io_step_hook()(step);
}

void write_file_durably(const std::string& path,
                        const std::function<void(const std::string&)>& write) {
  const std::string temporary = path + kTemporary + std::to_string(::getpid());
  try {
    io_step(IoStep::open);
    write(temporary);
    io_step(IoStep::sync_file);
    sync_path(temporary, O_RDONLY | O_NOFOLLOW, path);
    io_step(IoStep::rename);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) throw_io(path, "replace", errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  io_step(IoStep::sync_directory);
  const std::string directory = directory_of(path);
  sync_path(directory, O_RDONLY | O_DIRECTORY, directory);
}

namespace {

// Removes what writers of `path` that are no longer running have left beside it.
void remove_leftovers(const std::string& path) {
  const std::string prefix = std::filesystem::path(path).filename().string() + kTemporary;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_of(path), error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix)) continue;
    const pid_t writer = std::atoi(name.c_str() + prefix.size());
    if (writer <= 0 || (::kill(writer, 0) != 0 && errno == ESRCH) || writer == ::getpid())
      std::filesystem::remove_all(entry.path(), error);
  }
}

void require_free(const std::string& directory) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(directory, error);
  if (!std::filesystem::exists(status)) return;
  if (!std::filesystem::is_directory(status) || !std::filesystem::is_empty(directory, error))
    throw_error(ErrorKind::recipe, "{}: is there already, a new or empty directory is expected",
                directory);
}

void sync_tree(const std::string& directory) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    io_step(IoStep::sync_file);
    sync_path(entry.path(), entry.is_directory() ? O_RDONLY | O_DIRECTORY : O_RDONLY | O_NOFOLLOW,
              entry.path());
  }
  io_step(IoStep::sync_directory);
  sync_path(directory, O_RDONLY | O_DIRECTORY, directory);
}

}  // namespace

void write_directory_durably(const std::string& given,
                             const std::function<void(const std::string&)>& write) {
  namespace fs = std::filesystem;
  std::string directory = fs::absolute(given).lexically_normal();
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  require_free(directory);
  std::error_code error;
  fs::create_directories(directory_of(directory), error);
  if (error) throw_io(directory_of(directory), "make the directory", error.value());
  remove_leftovers(directory);
  const std::string temporary = directory + kTemporary + std::to_string(::getpid());
  try {
    if (::mkdir(temporary.c_str(), 0777) != 0) throw_io(directory, "make beside it", errno);
    write(temporary);
    sync_tree(temporary);
    io_step(IoStep::rename);
    if (std::rename(temporary.c_str(), directory.c_str()) != 0) throw_io(directory, "make", errno);
  } catch (...) {
    fs::remove_all(temporary, error);
    throw;
  }
  io_step(IoStep::sync_directory);
  sync_path(directory_of(directory), O_RDONLY | O_DIRECTORY, directory_of(directory));
}

void write_bytes(const std::string& file, std::string_view bytes, const std::string& path) {
  Descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (out.get() < 0) throw_io(path, "create", errno);
  while (!bytes.empty()) {
    io_step(IoStep::write);
    const ssize_t done = ::write(out.get(), bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw_io(path, "write", errno);
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  io_step(IoStep::close);
  if (out.close() != 0) throw_io(path, "close", errno);
}

void write_text_durably(const std::string& path, std::string_view contents) {
  write_file_durably(path,
                     [&](const std::string& temporary) { write_bytes(temporary, contents, path); });
}

void remove_temporaries(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (entry.path().filename().string().find(kTemporary) != std::string::npos)
      std::filesystem::remove(entry.path(), error);
}

}  // namespace halftone
