// The structure of the HDF5 files that hdf5.h writes, read without the library: the library follows
// what a file says into memory that is not there (CVE-2024-29157, -29164, -32623 and others of
// release 1.10), and no seal keeps out a file that was made to do it.
//
// Checking the structure first and letting the library (1.10.8) read what the check accepts does
// not help, because the library decodes far more than a check looks at. Of some 3,000 accepted and
// refused files with one to three changed bytes, a free list that runs in a circle in a heap of
// names made it allocate without end (H5HL), and, with free lists checked too, lengths inside an
// attribute message made it read behind the message (H5O__attr_open_by_name). A check that rules
// all of that out is a second decoder of every message, so the numbers are read by the one that is
// here.
//
// What is read is the format's oldest and plainest kind (HDF5 File Format Specification 3.0): a
// superblock of version 0, groups as version 1 B-trees (III.A.1) of symbol nodes (III.B) with a
// local heap for their names (III.D), object headers of version 1 (IV.A.1.a).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "halftone/base/checked.h"
#include "halftone/io/mapped_file.h"
#include "halftone/tensor/tensor.h"

namespace halftone::hdf5 {

struct Dataset {
  bool is_text = false;
  DType dtype = DType::u8;  // of numbers
  Shape shape;
  uint64_t offset = 0, bytes = 0;  // in the file
};

struct Message {
  uint16_t type;
  std::string data;
};

class Structure {
 public:
  // Lists all objects. Throws Error(format), naming the file and the object, for whatever is not as
  // hdf5.h writes it: nothing is read beyond the file, no part of it twice.
  explicit Structure(const std::string& path);

  const RegularFile& file() const { return file_; }
  const std::vector<std::string>& datasets() const { return datasets_; }  // names, sorted
  Dataset dataset(const std::string& name) const;
  // A scalar attribute of an object.
  struct Attribute {
    std::string datatype, value;  // the message's bytes, the value's
  };
  Attribute attribute(const std::string& object, const std::string& key) const;
  [[noreturn]] void refuse(const std::string& name, const std::string& what) const;

 private:
  using Messages = std::vector<Message>;

  std::string read(uint64_t offset, uint64_t bytes, const std::string& name);
  Messages read_messages(uint64_t address, const std::string& name);
  void read_object(uint64_t address, const std::string& name);
  void read_group(const Message& table, const std::string& name);
  void read_tree(uint64_t address, int most_level, const std::string& heap,
                 const std::string& group);
  void read_symbols(uint64_t address, const std::string& heap, const std::string& group);

  std::string path_;
  RegularFile file_;
  std::set<uint64_t> seen_;                  // addresses
  uint64_t left_ = 0;                        // bytes of structure that may yet be read
  std::map<std::string, Messages> objects_;  // by name, "/" the root
  std::vector<std::string> datasets_;
};

// The numbers that a datatype message stands for; nothing where hdf5.h writes no such numbers.
std::optional<DType> dtype_of(std::string_view datatype);
bool is_text(std::string_view datatype);  // of fixed length

}  // namespace halftone::hdf5
