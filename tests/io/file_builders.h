// Files made byte by byte, well-formed and not, for the tests of the readers.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/rng.h"

namespace halftone::testing {

// A directory of its own, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = ::testing::TempDir() + "halftone-XXXXXX";
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view bytes) const {
    // A new file each time: some file systems write a truncated one out to the disk at once.
    std::filesystem::remove(file(name));
    std::ofstream(file(name), std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
    return file(name);
  }

 private:
  std::string path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// The text of the Error(format) that `action` throws; "" when it throws nothing. Any other
// exception fails the test.
inline std::string format_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::format) << error.what();
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not an Error: " << error.what();
    return std::string("not an Error: ") + error.what();
  }
  return "";
}

inline void expect_refused(const std::string& phrase, const std::function<void()>& action) {
  const std::string text = format_error(action);
  EXPECT_NE(text, "") << "accepted; expected an error with: " << phrase;
  EXPECT_NE(text.find(phrase), text.npos) << "error:    " << text << "\nexpected: " << phrase;
  EXPECT_EQ(text.find('\n'), text.npos) << "more than one line: " << text;
  EXPECT_LT(text.size(), 1000u) << text;
}

// A malformed file and what the error must say, beside the file's name.
struct MalformedCase {
  const char* name;
  std::string bytes;
  std::string phrase;
};

// Every case is refused with its phrase, naming the file.
inline void expect_all_refused(const std::vector<MalformedCase>& cases,
                               const std::function<void(const std::string& path)>& read) {
  const TemporaryDirectory directory;
  for (const MalformedCase& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string path = directory.write("malformed", c.bytes);
    expect_refused(c.phrase, [&] { read(path); });
    expect_refused(path, [&] { read(path); });
  }
}

// No proper prefix of a whole file is a file.
inline void expect_truncations_refused(const std::string& whole,
                                       const std::function<void(const std::string& path)>& read) {
  const TemporaryDirectory directory;
  for (size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    const std::string path = directory.write("truncated", whole.substr(0, size));
    EXPECT_NE(format_error([&] { read(path); }), "");
  }
}

// Files with one to three bytes changed are read or refused; returns how many were refused.
inline int read_mutations(const std::string& whole, int count, uint64_t seed,
                          const std::function<void(const std::string& path)>& read) {
  const TemporaryDirectory directory;
  Rng rng(seed, RngStream::test);
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    std::string bytes = whole;
    for (uint64_t n = 1 + rng.below(3); n > 0; --n) {
      // Half of the changes are small steps: they keep texts readable and move numbers a little.
      char& byte = bytes[rng.below(bytes.size())];
      byte =
          static_cast<char>(rng.below(2) ? rng.below(256) : uint64_t(byte) + 1 - 2 * rng.below(2));
    }
    SCOPED_TRACE(i);
    refused += format_error([&] { read(directory.write("mutated", bytes)); }) != "";
  }
  return refused;
}

// A safetensors file: size of the header, header, data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data = "") {
  return raw<uint64_t>(header.size()) + header + data;
}

// A GGUF file from its parts; counts and offsets can be made to lie.
struct GgufBuilder {
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;  // as in the file, fastest first
    uint32_t type;
    std::string data;
    std::optional<uint64_t> offset = {};
    std::optional<uint32_t> dim_count = {};
  };

  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;  // of the data; a key of its own says so to the reader
  std::vector<std::string> entries;
  std::vector<Tensor> tensors;
  std::optional<uint64_t> tensor_count, key_count;
  bool pad_end = true;
  std::string tail;

  static std::string text(const std::string& s) { return raw<uint64_t>(s.size()) + s; }
  // Value types: 0 u8, 1 i8, 2 u16, 3 i16, 4 u32, 5 i32, 6 f32, 7 bool, 8 string, 9 array, 10 u64,
  // 11 i64, 12 f64.
  static std::string key(const std::string& name, uint32_t type, const std::string& value) {
    return text(name) + raw(type) + value;
  }
  static std::string array(const std::string& name, uint32_t type, uint64_t count,
                           const std::string& values) {
    return key(name, 9, raw(type) + raw(count) + values);
  }

  GgufBuilder& add(const std::string& entry) {
    entries.push_back(entry);
    return *this;
  }
  GgufBuilder& add_u32(const std::string& name, uint32_t value) {
    return add(key(name, 4, raw(value)));
  }
  GgufBuilder& add_f32(const std::string& name, float value) {
    return add(key(name, 6, raw(value)));
  }
  GgufBuilder& add_string(const std::string& name, const std::string& value) {
    return add(key(name, 8, text(value)));
  }
  GgufBuilder& add_tensor(Tensor tensor) {
    tensors.push_back(std::move(tensor));
    return *this;
  }

  std::string bytes() const {
    std::string out = magic + raw(version) + raw(tensor_count.value_or(tensors.size())) +
                      raw(key_count.value_or(entries.size()));
    for (const std::string& entry : entries) out += entry;
    std::string data;
    for (const Tensor& t : tensors) {
      out += text(t.name) + raw(t.dim_count.value_or(uint32_t(t.dims.size()))) + raw(t.dims) +
             raw(t.type) + raw(t.offset.value_or(data.size()));
      data += t.data;
      if (pad_end || &t != &tensors.back()) pad(data);
    }
    if (!tensors.empty()) pad(out);
    return out + data + tail;
  }

 private:
  void pad(std::string& s) const { s.resize((s.size() + alignment - 1) / alignment * alignment); }
};

}  // namespace halftone::testing
