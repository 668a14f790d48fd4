// HDF5 files of plain tensors and texts. No HDF5 handle leaves the source file. One thread at a time
// may be in here: the library has state of its own.
//
// The library is not safe on hostile or damaged files: verify a seal (sealed_file.h) before reading.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// Names are "group/group/name"; groups come into being with their first member. Tensors of every
// dtype, rank 0 to 8, little-endian and contiguous; texts as fixed-size UTF-8 strings. No times are
// stored: the same content gives the same bytes.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::string& path);  // replaces a file of that name; throws Error(io)
  ~Hdf5Writer();                                 // without close() the file is not to be used

  void write(const std::string& name, const Tensor& tensor);
  void write_text(const std::string& name, std::string_view text);
  void close();  // throws Error(io) when anything could not be written

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Opens only what Hdf5Writer writes: hard links, groups, contiguous datasets of the known types, no
// external storage, filters or variable lengths; every size is compared with the file's before
// anything is allocated. Throws Error(format).
class Hdf5Reader {
 public:
  explicit Hdf5Reader(const std::string& path);
  ~Hdf5Reader();

  const std::vector<std::string>& names() const;       // of tensors, in order
  const std::vector<std::string>& text_names() const;  // of texts, in order
  Tensor read(const std::string& name) const;
  std::string read_text(const std::string& name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace halftone
