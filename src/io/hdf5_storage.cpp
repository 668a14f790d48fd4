#include "hdf5_storage.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "descriptor.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/mapped_file.h"

namespace halftone::hdf5 {
namespace {

// The library's view of an open file: its own part first, ours behind it.
struct File {
  H5FD_t common;
  Storage* storage;
  haddr_t end;  // of what the library has laid out
};

File& of(H5FD_t* file) {
  return *reinterpret_cast<File*>(file);
}
const File& of(const H5FD_t* file) {
  return *reinterpret_cast<const File*>(file);
}

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const auto* storage = static_cast<Storage* const*>(H5Pget_driver_info(access));
  return storage ? &(new File{{}, *storage, 0})->common : nullptr;
}

herr_t close_file(H5FD_t* file) {
  delete &of(file);
  return 0;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t get_end(const H5FD_t* file, H5FD_mem_t) {
  return of(file).end;
}

herr_t set_end(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  of(file).end = end;
  return 0;
}

haddr_t get_size(const H5FD_t* file, H5FD_mem_t) {
  return of(file).storage->size();
}

herr_t read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t offset, size_t bytes, void* data) {
  return of(file).storage->read(offset, data, bytes) ? 0 : -1;
}

herr_t write(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t offset, size_t bytes, const void* data) {
  of(file).storage->write(offset, data, bytes);
  return 0;
}

herr_t truncate(H5FD_t* file, hid_t, hbool_t) {
  of(file).storage->set_size(of(file).end);
  return 0;
}

const H5FD_class_t kDriver = {
    .name = "halftone",
    .maxaddr = (haddr_t{1} << 63) - 1,
    .fc_degree = H5F_CLOSE_STRONG,
    .terminate = nullptr,
    .sb_size = nullptr,
    .sb_encode = nullptr,
    .sb_decode = nullptr,
    .fapl_size = sizeof(Storage*),
    .fapl_get = nullptr,
    .fapl_copy = nullptr,
    .fapl_free = nullptr,
    .dxpl_size = 0,
    .dxpl_copy = nullptr,
    .dxpl_free = nullptr,
    .open = open_file,
    .close = close_file,
    .cmp = nullptr,
    .query = query,
    .get_type_map = nullptr,
    .alloc = nullptr,
    .free = nullptr,
    .get_eoa = get_end,
    .set_eoa = set_end,
    .get_eof = get_size,
    .get_handle = nullptr,
    .read = read,
    .write = write,
    .flush = nullptr,
    .truncate = truncate,
    .lock = nullptr,
    .unlock = nullptr,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

}  // namespace

Storage::Storage(std::unique_ptr<Descriptor> out, std::unique_ptr<const RegularFile> in)
    : out_(std::move(out)), in_(std::move(in)), size_(in_ ? in_->size() : 0) {}

Storage::~Storage() = default;

Storage Storage::create(const std::string& path) {
  // O_NONBLOCK: a FIFO under this name must not hang the program.
  return {
      std::make_unique<Descriptor>(path, O_RDWR | O_CREAT | O_TRUNC | O_NONBLOCK, path, "create"),
      nullptr};
}

Storage Storage::open(const std::string& path) {
  return {nullptr, std::make_unique<const RegularFile>(path)};
}

Handle Storage::access() {
  static const hid_t driver = H5FDregister(&kDriver);
  Handle access = access_properties();
  Storage* self = this;
  H5Pset_driver(access.get(), driver, &self);
  return access;
}

void Storage::check() const {
  if (failure_) std::rethrow_exception(failure_);
}

void Storage::close() {
  check();
  out_->close();
}

template <class Action>
bool Storage::keep_failure(const Action& action) noexcept {
  if (failure_) return false;
  try {
    action();
    return true;
  } catch (...) {
    failure_ = std::current_exception();
    return false;
  }
}

void Storage::write(uint64_t offset, const void* data, size_t bytes) noexcept {
  keep_failure([&] { out_->write_at(offset, data, bytes); });
  size_ = std::max(size_, offset + bytes);  // as if it were there
}

bool Storage::read(uint64_t offset, void* data, size_t bytes) noexcept {
  size_t got = 0;
  if (!keep_failure(
          [&] { got = in_ ? in_->read(offset, data, bytes) : out_->read_at(offset, data, bytes); }))
    return false;
  // A file that is being written is zero where nothing was written yet.
  if (in_ && got < bytes) return false;
  std::memset(static_cast<char*>(data) + got, 0, bytes - got);
  return true;
}

void Storage::set_size(uint64_t bytes) noexcept {
  keep_failure([&] { out_->resize(bytes); });
  size_ = bytes;
}

}  // namespace halftone::hdf5
