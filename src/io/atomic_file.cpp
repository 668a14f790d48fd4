#include "halftone/io/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "descriptor.h"
#include "halftone/base/error.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporary = ".tmp.";  // between a file's name and the writer's pid

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void sync_directory(const std::string& path) {
  Descriptor(path, O_RDONLY | O_DIRECTORY, path, "open to flush").sync();
}

// The name whose temporary `name` is; "" where it is none.
std::string_view final_name(std::string_view name) {
  const size_t at = name.rfind(kTemporary);
  if (at == name.npos) return "";
  const std::string_view pid = name.substr(at + kTemporary.size());
  return !pid.empty() && pid.find_first_not_of("0123456789") == pid.npos ? name.substr(0, at) : "";
}

// A writer holds the lock of its temporary, a file or a directory, for as long as it lives.
bool is_abandoned(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return false;
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return locked;
}

// Of the file `name`, or of every file where it is empty.
void remove_temporaries_of(const std::string& name, const std::string& directory) {
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string found = entry->path().filename();
    const std::string_view of = final_name(found);
    if (of.empty() || (!name.empty() && of != name) || !is_abandoned(entry->path())) continue;
    std::error_code ignored;
    fs::remove_all(entry->path(), ignored);
  }
}

// The temporary made and locked.
std::unique_ptr<Descriptor> create_locked(const std::string& temporary, const std::string& path) {
  for (;;) {
    auto file = std::make_unique<Descriptor>(temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW,
                                             path, "create");
    // Where the file system has no locks, nobody removes what could not be locked.
    uninterrupted([&] { return ::flock(file->get(), LOCK_EX); });
    struct stat status {};
    if (::fstat(file->get(), &status) != 0) throw_io(path, "examine", errno);
    if (status.st_nlink > 0) return file;  // else removed as abandoned in front of the lock
  }
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
  const std::string directory = directory_of(path);
  remove_temporaries_of(fs::path(path).filename(), directory);
  const std::string temporary = path + std::string(kTemporary) + std::to_string(::getpid());
  io_step(IoStep::open);
  const std::unique_ptr<Descriptor> file = create_locked(temporary, path);
  try {
    write(temporary);
    io_step(IoStep::sync_file);
    file->sync();
    io_step(IoStep::rename);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) throw_io(path, "replace", errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  io_step(IoStep::sync_directory);
  sync_directory(directory);
}

namespace {

void require_free(const std::string& directory) {
  std::error_code error;
  const auto status = fs::symlink_status(directory, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status) || !fs::is_empty(directory, error))
    throw_error(ErrorKind::recipe, "{}: is there already, a new or empty directory is expected",
                directory);
}

void sync_tree(const std::string& directory) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    io_step(IoStep::sync_file);
    Descriptor(entry.path(), O_RDONLY | O_NOFOLLOW, entry.path(), "open to flush").sync();
  }
  io_step(IoStep::sync_directory);
  sync_directory(directory);
}

}  // namespace

void write_directory_durably(const std::string& given,
                             const std::function<void(const std::string&)>& write) {
  std::string directory = fs::absolute(given).lexically_normal();
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  require_free(directory);
  const std::string above = directory_of(directory);
  make_directories(above);
  remove_temporaries_of(fs::path(directory).filename(), above);
  const std::string temporary = directory + std::string(kTemporary) + std::to_string(::getpid());
  io_step(IoStep::open);
  if (::mkdir(temporary.c_str(), 0777) != 0) throw_io(directory, "make beside it", errno);
  try {
    const Descriptor lock(temporary, O_RDONLY | O_DIRECTORY, directory);
    uninterrupted([&] { return ::flock(lock.get(), LOCK_EX); });
    write(temporary);
    sync_tree(temporary);
    io_step(IoStep::rename);
    if (std::rename(temporary.c_str(), directory.c_str()) != 0) throw_io(directory, "make", errno);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  io_step(IoStep::sync_directory);
  sync_directory(above);
}

void write_bytes(const std::string& file, std::string_view bytes, const std::string& path) {
  Descriptor out(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, path, "create");
  out.write(bytes.data(), bytes.size());
  io_step(IoStep::close);
  out.close();
}

void write_text_durably(const std::string& path, std::string_view contents) {
  write_file_durably(path,
                     [&](const std::string& temporary) { write_bytes(temporary, contents, path); });
}

void append_text(const std::string& path, std::string_view text) {
  Descriptor out(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, path);
  out.write(text.data(), text.size());
  out.close();
}

void sync_file(const std::string& path) {
  Descriptor(path, O_RDONLY | O_NONBLOCK, path, "open to flush").sync();
}

void make_directories(const std::string& path) {
  std::error_code error;
  const fs::file_status found = fs::status(path, error);
  if (fs::is_directory(found)) return;
  if (fs::exists(found)) throw_io(path, "make the folder", EEXIST);
  if (found.type() != fs::file_type::not_found) throw_io(path, "examine", error.value());
  const std::string parent = directory_of(path);
  make_directories(parent);
  if (::mkdir(path.c_str(), 0777) != 0) {
    const int cause = errno;
    if (!fs::is_directory(path, error)) throw_io(path, "make the folder", cause);
  }
  sync_directory(parent);
}

void remove_temporaries(const std::string& directory) {
  remove_temporaries_of("", directory);
}

}  // namespace halftone
