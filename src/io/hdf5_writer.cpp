#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/hdf5.h"
#include "hdf5_handles.h"
#include "hdf5_sink.h"

namespace halftone {

using hdf5::Handle;

namespace {

constexpr size_t kMostAttributeBytes = 60000;  // of the 64 KiB that an object's header can hold

void require_name(std::string_view name) {
  require(!name.empty() && name.size() <= hdf5::kMostNameBytes &&
              name.find('\0') == std::string_view::npos,
          "HDF5 name '{}': 1 .. {} bytes without zero expected", printable(name),
          hdf5::kMostNameBytes);
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    require(!part.empty() && part != "." && part != "..", "HDF5 name '{}': empty part, . or ..",
            printable(name));
    begin = end + 1;
  }
}

void require_text(std::string_view text) {
  require(text.find('\0') == std::string_view::npos && text.size() < (size_t{1} << 31),
          "HDF5 text: no zero byte, less than 2 GiB expected");
}

}  // namespace

struct Hdf5Writer::State {
  explicit State(const std::string& path) : path(path), sink(path) {}

  std::string path;
  hdf5::Sink sink;                    // in front of the file, which it must outlive
  Handle file, link, group, dataset;  // the file and how links, groups and datasets are made

  void check(bool good, const std::string& action) const {
    sink.check();
    if (!good) throw_error(ErrorKind::io, "{}: cannot {}: {}", path, action, hdf5::cause());
  }

  void write(const std::string& name, const Handle& type, const Handle& space, const void* data,
             bool any) const {
    require_name(name);
    const std::string action = "write '" + printable(name) + "'";
    Handle set(H5Dcreate2(file.get(), name.c_str(), type.get(), space.get(), link.get(),
                          dataset.get(), H5P_DEFAULT));
    check(set.valid(), action);
    if (any)
      check(H5Dwrite(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0, action);
    check(set.close(), action);
  }
};

Hdf5Writer::Hdf5Writer(const std::string& path) : state_(std::make_unique<State>(path)) {
  hdf5::quiet();
  State& s = *state_;
  s.link = Handle(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_create_intermediate_group(s.link.get(), 1);
  s.group = Handle(H5Pcreate(H5P_GROUP_CREATE));
  H5Pset_obj_track_times(s.group.get(), false);
  s.dataset = Handle(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_layout(s.dataset.get(), H5D_CONTIGUOUS);
  H5Pset_fill_time(s.dataset.get(), H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(s.dataset.get(), false);
  // A variable: giving a handle back clears the library's record of a failure.
  const Handle access = s.sink.access();
  s.file = Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()));
  s.check(s.file.valid(), "create");
}

Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::make_group(const std::string& name) {
  require_name(name);
  Handle group(H5Gcreate2(state_->file.get(), name.c_str(), state_->link.get(), state_->group.get(),
                          H5P_DEFAULT));
  state_->check(group.valid() && group.close(), "make group '" + printable(name) + "'");
}

void Hdf5Writer::write(const std::string& name, const Tensor& tensor) {
  require(tensor.defined(), "HDF5 dataset '{}': a tensor expected", printable(name));
  const std::vector<hsize_t> dims(tensor.shape().begin(), tensor.shape().end());
  const Handle space(dims.empty()
                         ? H5Screate(H5S_SCALAR)
                         : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr));
  state_->write(name, hdf5::number_type(tensor.dtype()), space, tensor.raw(), tensor.numel() > 0);
}

void Hdf5Writer::write_text(const std::string& name, std::string_view text) {
  require_text(text);
  state_->write(name, hdf5::text_type(text.size() + 1), Handle(H5Screate(H5S_SCALAR)),
                std::string(text).c_str(), true);
}

void Hdf5Writer::write_attribute(const std::string& object, const std::string& key,
                                 const Hdf5Attribute& value) {
  if (object != "/") require_name(object);
  require_name(key);
  Handle type;
  const void* data = nullptr;
  if (const auto* text = std::get_if<std::string>(&value)) {
    require_text(*text);
    require(text->size() <= kMostAttributeBytes,
            "HDF5 attribute '{}': {} bytes, at most {} expected", printable(key), text->size(),
            kMostAttributeBytes);
    type = hdf5::text_type(text->size() + 1);
    data = text->c_str();
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    type = hdf5::number_type(DType::i64);
    data = integer;
  } else {
    type = hdf5::number_type(DType::f64);
    data = &std::get<double>(value);
  }
  const Handle space(H5Screate(H5S_SCALAR));
  Handle attribute(H5Acreate_by_name(state_->file.get(), object.c_str(), key.c_str(), type.get(),
                                     space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  state_->check(
      attribute.valid() && H5Awrite(attribute.get(), type.get(), data) >= 0 && attribute.close(),
      "write attribute '" + printable(key) + "'");
}

void Hdf5Writer::close() {
  State& s = *state_;
  io_step(IoStep::close);
  s.check(H5Fget_obj_count(s.file.get(), H5F_OBJ_ALL) == 1, "close (objects are open)");
  s.check(H5Fflush(s.file.get(), H5F_SCOPE_LOCAL) >= 0, "write");
  s.check(s.file.close(), "close");
  s.sink.close();
}

}  // namespace halftone
