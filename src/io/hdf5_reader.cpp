#include <algorithm>
#include <cstring>

#include "halftone/base/error.h"
#include "halftone/io/hdf5.h"
#include "hdf5_structure.h"

namespace halftone {

struct Hdf5Reader::State {
  explicit State(const std::string& path) : structure(path) {}

  hdf5::Structure structure;

  hdf5::Dataset numbers(const std::string& name) const {
    const hdf5::Dataset dataset = structure.dataset(name);
    if (dataset.is_text) structure.refuse(name, "is text, numbers expected");
    return dataset;
  }
  void read(const std::string& name, const hdf5::Dataset& dataset, void* out) const {
    if (structure.file().read(dataset.offset, out, dataset.bytes) < dataset.bytes)
      structure.refuse(name, "became shorter while it was read");
  }
};

Hdf5Reader::Hdf5Reader(const std::string& path) : state_(std::make_unique<State>(path)) {}

Hdf5Reader::~Hdf5Reader() = default;

const std::vector<std::string>& Hdf5Reader::names() const {
  return state_->structure.datasets();
}

bool Hdf5Reader::holds(const std::string& name) const {
  return std::ranges::binary_search(names(), name);
}

bool Hdf5Reader::is_text(const std::string& name) const {
  return state_->structure.dataset(name).is_text;
}

Shape Hdf5Reader::shape(const std::string& name) const {
  return state_->structure.dataset(name).shape;
}

DType Hdf5Reader::dtype(const std::string& name) const {
  return state_->numbers(name).dtype;
}

Tensor Hdf5Reader::read(const std::string& name) const {
  const hdf5::Dataset dataset = state_->numbers(name);
  Tensor out = Tensor::uninitialized(dataset.shape, dataset.dtype);
  state_->read(name, dataset, out.raw());
  return out;
}

std::string Hdf5Reader::read_text(const std::string& name) const {
  const hdf5::Dataset dataset = state_->structure.dataset(name);
  if (!dataset.is_text) state_->structure.refuse(name, "holds numbers, text expected");
  std::string out(dataset.bytes, '\0');
  state_->read(name, dataset, out.data());
  out.resize(std::min(out.find('\0'), out.size()));
  return out;
}

Hdf5Attribute Hdf5Reader::attribute(const std::string& object, const std::string& key) const {
  const hdf5::Structure::Attribute found = state_->structure.attribute(object, key);
  const auto value = [&]<class T>(T out) {
    std::memcpy(&out, found.value.data(), sizeof out);
    return out;
  };
  const std::optional<DType> dtype = hdf5::dtype_of(found.datatype);
  if (dtype == DType::i64 && found.value.size() >= 8) return value(int64_t{});
  if (dtype == DType::f64 && found.value.size() >= 8) return value(double{});
  if (!hdf5::is_text(found.datatype))
    state_->structure.refuse(object + "@" + key, "is of a type that Halftone does not write");
  return found.value.substr(0, found.value.find('\0'));
}

}  // namespace halftone
