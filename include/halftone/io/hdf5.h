// HDF5 files of the plainest kind: groups, contiguous datasets of fixed-size numbers, texts and
// attributes. No handle of the library leaves this stem.
//
// The library writes; it is not safe on files that are damaged, or made to harm. What is read is
// read without it, and is what it wrote for Hdf5Writer or is refused (src/io/hdf5_structure.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

using Hdf5Attribute = std::variant<int64_t, double, std::string>;

// Names are "group/.../name"; groups are made as names need them. The file's bytes are a function
// of the calls alone: no times are stored. F16 and BF16 are floating-point types of 16 bits.
// Throws Error(io) naming the file and the cause (disk full, ...), std::invalid_argument for names
// and texts that HDF5 cannot hold.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::string& path);  // creates the file or empties it
  ~Hdf5Writer();  // leaves an incomplete file unless close() was called
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void make_group(const std::string& name);
  void write(const std::string& name, const Tensor& tensor);
  void write_text(const std::string& name, std::string_view text);
  // Of the group or dataset `object`, "/" for the file's root; at most 60,000 bytes of text.
  void write_attribute(const std::string& object, const std::string& key,
                       const Hdf5Attribute& value);
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Refuses links, datasets that are not contiguous inside this file, types of variable size, and
// sizes beyond the file's before allocating. Throws Error(format).
class Hdf5Reader {
 public:
  explicit Hdf5Reader(const std::string& path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  const std::vector<std::string>& names() const;  // of all datasets, sorted
  bool holds(const std::string& name) const;
  bool is_text(const std::string& name) const;
  Shape shape(const std::string& name) const;  // of numbers
  DType dtype(const std::string& name) const;
  Tensor read(const std::string& name) const;
  std::string read_text(const std::string& name) const;
  Hdf5Attribute attribute(const std::string& object, const std::string& key) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
