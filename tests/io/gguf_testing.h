// GGUF files that the tests of the metadata and of the tensors share.
#pragma once

#include <string>
#include <vector>

#include "io/file_builders.h"

namespace halftone::testing {

inline const std::string kData(32, '\1');

inline GgufBuilder::Tensor f32_tensor(const std::string& name = "t") {
  return {name, {4, 2}, 0, kData};
}

inline GgufBuilder one_tensor() {
  return GgufBuilder().add_tensor(f32_tensor());
}

// A key of every type, an array of most, and tensors of three types.
inline GgufBuilder rich_file() {
  GgufBuilder b;
  b.add(b.key("u8", 0, raw<uint8_t>(200))).add(b.key("i8", 1, raw<int8_t>(-3)));
  b.add(b.key("u16", 2, raw<uint16_t>(60000))).add(b.key("i16", 3, raw<int16_t>(-300)));
  b.add(b.key("u32", 4, raw<uint32_t>(4000000000))).add(b.key("i32", 5, raw<int32_t>(-70000)));
  b.add(b.key("f32", 6, raw(0.25f))).add(b.key("bool", 7, "\1"));
  b.add(b.key("string", 8, b.text("caf\xc3\xa9"))).add(b.key("f64", 12, raw(1e100)));
  b.add(b.key("u64", 10, raw<uint64_t>(1ull << 63))).add(b.key("i64", 11, raw<int64_t>(-5)));
  b.add(b.array("tokens", 8, 3, b.text("a") + b.text("") + b.text("\xff")));
  b.add(b.array("scores", 6, 2, raw(std::vector<float>{-1.5f, 2})));
  b.add(b.array("types", 5, 2, raw(std::vector<int32_t>{1, -6})));
  b.add(b.array("flags", 7, 2, std::string("\0\1", 2)));
  b.add(b.array("nothing", 4, 0, ""));
  b.add_tensor({"first", {3, 2}, 0, raw(std::vector<float>{1, 2, 3, 4, 5, 6})});
  b.add_tensor({"second", {32}, 8, raw<uint16_t>(0x3800) + std::string(32, '\4')});
  b.add_tensor({"third", {16}, 1, raw(std::vector<uint16_t>(16, 0xbc00))});
  return b;
}

inline std::string with_key(const std::string& key) {
  GgufBuilder b = one_tensor();
  b.add(key);
  return b.bytes();
}

template <class Change>
inline std::string changed(Change change) {
  GgufBuilder b = one_tensor();
  change(b);
  return b.bytes();
}

}  // namespace halftone::testing
