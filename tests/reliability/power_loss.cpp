#include "power_loss.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace halftone_fault {
namespace {

namespace fs = std::filesystem;

uint64_t inode_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

FlushedState::FlushedState(std::string root) : root_(std::move(root)) {
  flush(root_);
  for (const auto& entry : fs::recursive_directory_iterator(root_)) flush(entry.path());
}

void FlushedState::flush(const std::string& path) {
  if (!fs::is_directory(path)) {
    std::ifstream in(path, std::ios::binary);
    contents_[inode_of(path)] = {std::istreambuf_iterator<char>(in), {}};
    // Open, the file keeps its number when its name goes, which may yet come back.
    ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    return;
  }
  auto& names = names_[inode_of(path)];
  names.clear();
  for (const auto& entry : fs::directory_iterator(path))
    names[entry.path().filename()] = {inode_of(entry.path()), entry.is_directory()};
}

void FlushedState::begin(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) == 0 && status.st_size == 0) contents_.erase(status.st_ino);
}

void FlushedState::restore(bool names_stay) {
  if (names_stay) {
    flush(root_);
    for (const auto& entry : fs::recursive_directory_iterator(root_))
      if (entry.is_directory()) flush(entry.path());
  }
  const uint64_t root = inode_of(root_);
  for (const auto& entry : fs::directory_iterator(root_)) fs::remove_all(entry.path());
  restore_directory(root_, root);
}

void FlushedState::restore_directory(const std::string& path, uint64_t inode) {
  for (const auto& [name, what] : names_[inode]) {
    const std::string below = path + "/" + name;
    if (what.is_directory) {
      fs::create_directory(below);
      restore_directory(below, what.inode);
    } else {
      std::ofstream(below, std::ios::binary) << contents_[what.inode];
    }
  }
}

}  // namespace halftone_fault
