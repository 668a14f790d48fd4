// A model in one file that is mapped: tensors as forward reads them, and the files that belong to
// the model beside them (docs/formats.md):
//
//   0  "HTPACKED"   8  version, u32 = 2   12  zero, u32
//   16 bytes of the directory, u64        24  bytes of the list of tensors, u64
//   32 SHA-256 of the bytes before and of the two lists, hexadecimal text; not in version 1
//   96 the directory, a JSON object: "meta" {name: text}, "files" {name: [offset, bytes]} and,
//      where there is one, "tokenizer" [offset, bytes] (text/ready_tokenizer.h)
//   .. the list of tensors, a JSON object: {name: [dtype, [shape], offset]}
//   .. files, tokenizer and tensors, each at a multiple of 64 bytes from the file's start
//   .. a seal of 64 bytes (io/sealed_file.h)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "halftone/io/atomic_file.h"
#include "halftone/io/mapped_file.h"
#include "halftone/io/stored_tensors.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

struct PackedContent {
  std::map<std::string, std::string> meta;
  std::map<std::string, std::string> files;
  std::map<std::string, Tensor> tensors;
  std::string tokenizer = {};  // ready to be used; empty: none
};

// Durably, with its seal; verify(temporary_path) comes before the name. Throws Error(io).
void write_packed_file(const std::string& path, const PackedContent& content,
                       const WrittenCheck& verify = {});

class PackedFile {
 public:
  // Maps the file and reads what it holds; the digest of its lists is checked, its seal is not. A
  // file that this, a tensor or a tokenizer of it holds open is not read again while it is the
  // same. Throws Error(format) naming the file and what is wrong.
  static PackedFile open(const std::string& path);

  const std::map<std::string, std::string>& meta() const { return held_->meta; }
  std::map<std::string, std::string> files() const {
    return {held_->files.begin(), held_->files.end()};
  }
  // Bytes of the map, which keeps them.
  const std::optional<std::string_view>& tokenizer() const { return held_->tokenizer; }
  std::shared_ptr<const MappedFile> map() const { return {held_, held_->map.get()}; }
  // Views of the map.
  std::map<std::string, Tensor> tensors() const;
  StoredTensors list() const;

 private:
  friend std::optional<std::string> packed_member(const std::string& path);

  struct Held {
    explicit Held(const std::string& path);
    std::string_view read_head();
    void read_directory();

    std::shared_ptr<const MappedFile> map;
    std::string_view list;  // of tensors, as JSON
    uint64_t data = 0;      // offset behind the two lists
    std::map<std::string, std::string> meta;
    std::map<std::string, std::string_view> files;  // of the map, as the next
    std::optional<std::string_view> tokenizer;
  };

  explicit PackedFile(std::shared_ptr<const Held> held) : held_(std::move(held)) {}

  std::shared_ptr<const Held> held_;
};

// The bytes of the file NAME in the packed file PACKED where `path` is PACKED/NAME: to readers of
// text files a packed file is a directory. Nothing where there is no such file.
std::optional<std::string> packed_member(const std::string& path);

}  // namespace halftone
