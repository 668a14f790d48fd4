#include <algorithm>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "halftone/io/hdf5.h"
#include "hdf5_storage.h"

namespace halftone {

using hdf5::Handle;

namespace {

constexpr size_t kMostObjects = 1 << 20;
constexpr uint64_t kMostAttributeBytes = 1 << 16;

struct Links {
  std::vector<std::string> names;
  std::string fault;  // of the first link that is refused
};

// Runs inside the library, where exceptions have no way out.
herr_t collect_link(hid_t, const char* name, const H5L_info_t* info, void* out) noexcept {
  auto& links = *static_cast<Links*>(out);
  const std::string_view text(name);
  if (info->type != H5L_TYPE_HARD)
    links.fault = "is a link, which is not followed";
  else if (text.size() > hdf5::kMostNameBytes)
    links.fault = "has a name that is too long";
  else if (links.names.size() >= kMostObjects)
    links.fault = "is one object too many";
  links.names.emplace_back(text);
  return links.fault.empty() ? 0 : -1;
}

}  // namespace

struct Hdf5Reader::State {
  explicit State(const std::string& path) : path(path), storage(hdf5::Storage::open(path)) {}

  std::string path;
  hdf5::Storage storage;  // in front of the file, which it must outlive
  Handle file;
  std::vector<std::string> names;

  // A dataset that passed every check.
  struct Dataset {
    Handle set, type;
    bool is_text = false;
    DType dtype = DType::u8;
    Shape shape;
    uint64_t bytes = 0;
  };

  [[noreturn]] void refuse(const std::string& name, const std::string& what) const {
    storage.check();
    throw_error(ErrorKind::format, "{}: '{}' {}", path, printable(name), what);
  }

  void list_names();
  Dataset open(const std::string& name) const;
  void read_type(const std::string& name, Dataset& out) const;
  void read_shape(const std::string& name, Dataset& out) const;
  void check_storage(const std::string& name, const Dataset& dataset) const;
};

void Hdf5Reader::State::list_names() {
  Links links;
  const herr_t status = H5Lvisit(file.get(), H5_INDEX_NAME, H5_ITER_INC, collect_link, &links);
  if (!links.fault.empty()) refuse(links.names.back(), links.fault);
  if (status < 0) refuse("/", "cannot be listed: " + hdf5::cause());
  for (std::string& name : links.names) {
    H5O_info_t info{};
    if (H5Oget_info_by_name2(file.get(), name.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
      refuse(name, "cannot be examined: " + hdf5::cause());
    if (info.type == H5O_TYPE_DATASET)
      names.push_back(std::move(name));
    else if (info.type != H5O_TYPE_GROUP)
      refuse(name, "is neither a group nor a dataset");
  }
  std::sort(names.begin(), names.end());
}

void Hdf5Reader::State::read_type(const std::string& name, Dataset& out) const {
  out.type = Handle(H5Dget_type(out.set.get()));
  if (H5Tget_class(out.type.get()) == H5T_STRING) {
    if (H5Tis_variable_str(out.type.get()) != 0) refuse(name, "is text of variable length");
    out.is_text = true;
    out.bytes = H5Tget_size(out.type.get());
    return;
  }
  for (const DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8}) {
    if (H5Tequal(out.type.get(), hdf5::number_type(dtype).get()) <= 0) continue;
    out.dtype = dtype;
    out.bytes = dtype_bytes(dtype);
    return;
  }
  refuse(name, "is of a type that Halftone does not write");
}

void Hdf5Reader::State::read_shape(const std::string& name, Dataset& out) const {
  const Handle space(H5Dget_space(out.set.get()));
  const H5S_class_t kind = H5Sget_simple_extent_type(space.get());
  if (kind == H5S_SCALAR) return;
  const int rank = kind == H5S_SIMPLE ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (rank < 0 || rank > hdf5::kMostDimensions || out.is_text)
    refuse(name, fmt::format("has no shape that Halftone writes"));
  std::vector<hsize_t> dims(static_cast<size_t>(rank));
  if (H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr) < 0)
    refuse(name, "has no readable shape: " + hdf5::cause());
  for (const hsize_t dim : dims) {
    out.shape.push_back(
        checked_narrow<int64_t>(dim, path + ": dimension of '" + printable(name) + "'"));
    out.bytes = checked_mul(out.bytes, dim, path + ": size of '" + printable(name) + "'");
  }
}

void Hdf5Reader::State::check_storage(const std::string& name, const Dataset& dataset) const {
  const Handle made(H5Dget_create_plist(dataset.set.get()));
  if (H5Pget_layout(made.get()) != H5D_CONTIGUOUS || H5Pget_external_count(made.get()) != 0 ||
      H5Pget_nfilters(made.get()) != 0)
    refuse(name, "is not stored in one plain piece");
  if (dataset.bytes > storage.size())
    refuse(name, fmt::format("claims {} bytes, the file has {}", dataset.bytes, storage.size()));
  if (dataset.bytes == 0) return;
  const haddr_t offset = H5Dget_offset(dataset.set.get());
  if (H5Dget_storage_size(dataset.set.get()) != dataset.bytes || offset == HADDR_UNDEF ||
      offset > storage.size() - dataset.bytes)
    refuse(name, "does not lie in the file");
}

Hdf5Reader::State::Dataset Hdf5Reader::State::open(const std::string& name) const {
  if (!std::binary_search(names.begin(), names.end(), name)) refuse(name, "is missing");
  Dataset out;
  out.set = Handle(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT));
  if (!out.set.valid()) refuse(name, "cannot be opened: " + hdf5::cause());
  read_type(name, out);
  read_shape(name, out);
  check_storage(name, out);
  return out;
}

Hdf5Reader::Hdf5Reader(const std::string& path) : state_(std::make_unique<State>(path)) {
  hdf5::quiet();
  State& s = *state_;
  // A variable: giving a handle back clears the library's record of a failure.
  const Handle access = s.storage.access();
  s.file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  s.storage.check();
  if (!s.file.valid())
    throw_error(ErrorKind::format, "{}: no readable HDF5 file: {}", path, hdf5::cause());
  s.list_names();
}

Hdf5Reader::~Hdf5Reader() = default;

const std::vector<std::string>& Hdf5Reader::names() const {
  return state_->names;
}

bool Hdf5Reader::holds(const std::string& name) const {
  return std::binary_search(state_->names.begin(), state_->names.end(), name);
}

bool Hdf5Reader::is_text(const std::string& name) const {
  return state_->open(name).is_text;
}

Shape Hdf5Reader::shape(const std::string& name) const {
  return state_->open(name).shape;
}

DType Hdf5Reader::dtype(const std::string& name) const {
  const State::Dataset dataset = state_->open(name);
  if (dataset.is_text) state_->refuse(name, "is text, numbers expected");
  return dataset.dtype;
}

Tensor Hdf5Reader::read(const std::string& name) const {
  const State::Dataset dataset = state_->open(name);
  if (dataset.is_text) state_->refuse(name, "is text, numbers expected");
  Tensor out = Tensor::uninitialized(dataset.shape, dataset.dtype);
  if (dataset.bytes > 0 &&
      H5Dread(dataset.set.get(), dataset.type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.raw()) < 0)
    state_->refuse(name, "cannot be read: " + hdf5::cause());
  return out;
}

std::string Hdf5Reader::read_text(const std::string& name) const {
  const State::Dataset dataset = state_->open(name);
  if (!dataset.is_text) state_->refuse(name, "holds numbers, text expected");
  std::string out(dataset.bytes, '\0');
  if (H5Dread(dataset.set.get(), dataset.type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0)
    state_->refuse(name, "cannot be read: " + hdf5::cause());
  out.resize(std::min(out.find('\0'), out.size()));
  return out;
}

Hdf5Attribute Hdf5Reader::attribute(const std::string& object, const std::string& key) const {
  const State& s = *state_;
  const std::string name = object + "@" + key;
  const Handle attribute(
      H5Aopen_by_name(s.file.get(), object.c_str(), key.c_str(), H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute.valid()) s.refuse(name, "is missing");
  const Handle type(H5Aget_type(attribute.get())), space(H5Aget_space(attribute.get()));
  if (H5Sget_simple_extent_type(space.get()) != H5S_SCALAR) s.refuse(name, "is not one value");
  const auto read = [&](void* out) {
    if (H5Aread(attribute.get(), type.get(), out) < 0)
      s.refuse(name, "cannot be read: " + hdf5::cause());
  };
  if (H5Tequal(type.get(), hdf5::number_type(DType::i64).get()) > 0) {
    int64_t value = 0;
    read(&value);
    return value;
  }
  if (H5Tequal(type.get(), hdf5::number_type(DType::f64).get()) > 0) {
    double value = 0;
    read(&value);
    return value;
  }
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
      H5Tget_size(type.get()) > kMostAttributeBytes)
    s.refuse(name, "is of a type that Halftone does not write");
  std::string value(H5Tget_size(type.get()), '\0');
  read(value.data());
  value.resize(std::min(value.find('\0'), value.size()));
  return value;
}

}  // namespace halftone
