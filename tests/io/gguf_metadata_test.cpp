#include "halftone/io/gguf_metadata.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "halftone/io/gguf.h"
#include "io/gguf_testing.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::GgufBuilder;
using testing::MalformedCase;
using testing::raw;
using testing::rich_file;
using testing::TemporaryDirectory;
using testing::with_key;

TEST(Gguf, ReadsEveryTypeOfValue) {
  const TemporaryDirectory directory;
  const auto m = GgufMetadata::read(directory.write("a.gguf", rich_file().bytes()));
  EXPECT_EQ(m.version(), 3u);
  EXPECT_EQ(m.get_int("u8"), 200);
  EXPECT_EQ(m.get_int("i8"), -3);
  EXPECT_EQ(m.get_int("u16"), 60000);
  EXPECT_EQ(m.get_int("i16"), -300);
  EXPECT_EQ(m.get_int("u32"), 4000000000);
  EXPECT_EQ(m.get_int("i32"), -70000);
  EXPECT_EQ(m.get_int("i64"), -5);
  EXPECT_EQ(m.get_float("f32"), 0.25);
  EXPECT_EQ(m.get_float("f64"), 1e100);
  EXPECT_TRUE(m.get_bool("bool"));
  EXPECT_EQ(m.get_string("string"), "caf\xc3\xa9");
  EXPECT_EQ(m.get_strings("tokens"), (std::vector<std::string>{"a", "", "\xff"}));
  EXPECT_EQ(m.get_floats("scores"), (std::vector<double>{-1.5, 2}));
  EXPECT_EQ(m.get_ints("types"), (std::vector<int64_t>{1, -6}));
  EXPECT_TRUE(m.get_ints("nothing").empty());
  EXPECT_EQ(m.array_size("tokens"), 3u);
  EXPECT_EQ(m.type_text("tokens"), "string[3]");
  EXPECT_EQ(m.keys().size(), 17u);
  EXPECT_EQ(m.get_int("absent", 7), 7);
  EXPECT_EQ(m.get_float("absent", 0.5), 0.5);
  EXPECT_TRUE(m.get_bool("absent", true));
  EXPECT_EQ(m.get_string("absent", "x"), "x");
}

TEST(Gguf, NamesKeyAndTypesWhenAnotherTypeIsAskedFor) {
  const TemporaryDirectory directory;
  const auto m = GgufMetadata::read(directory.write("a.gguf", rich_file().bytes()));
  expect_refused("a.gguf: key 'absent' is missing", [&] { m.get_int("absent"); });
  expect_refused("key 'f32' is of type f32, expected an integer", [&] { m.get_int("f32"); });
  expect_refused("key 'bool' is of type bool, expected an integer", [&] { m.get_int("bool", 1); });
  expect_refused("key 'u8' is of type u8, expected f32 or f64", [&] { m.get_float("u8"); });
  expect_refused("key 'u8' is of type u8, expected bool", [&] { m.get_bool("u8"); });
  expect_refused("key 'u8' is of type u8, expected string", [&] { m.get_string("u8"); });
  expect_refused("key 'tokens' is of type string[3], expected string",
                 [&] { m.get_string("tokens"); });
  expect_refused("key 'scores' is of type f32[2], expected an array of integers",
                 [&] { m.get_ints("scores"); });
  expect_refused("key 'types' is of type i32[2], expected an array of f32 or f64",
                 [&] { m.get_floats("types"); });
  expect_refused("key 'types' is of type i32[2], expected an array of strings",
                 [&] { m.get_strings("types"); });
  expect_refused("key 'string' is of type string, expected an array",
                 [&] { m.get_strings("string"); });
  expect_refused("key 'flags' is of type bool[2], expected an array of integers",
                 [&] { m.get_ints("flags"); });
  expect_refused("key 'u64' is 9223372036854775808, at most 2^63 - 1 expected",
                 [&] { m.get_int("u64"); });
}

std::vector<MalformedCase> malformed_keys() {
  using B = GgufBuilder;
  const std::string big(1000, 'x');
  return {
      {"key of 2^64 - 1 bytes", with_key(raw<uint64_t>(UINT64_MAX)),
       "a key has 18446744073709551615"},
      {"key of 65536 bytes", with_key(B::key(std::string(65536, 'k'), 4, raw(1u))),
       "at most 65535"},
      {"key past the end", with_key(raw<uint64_t>(60000) + "k"), "a key needs 60000 bytes"},
      {"empty key", with_key(B::key("", 4, raw(1u))), "is empty or holds a zero byte"},
      {"key with zero byte", with_key(B::key(std::string("k\0", 2), 4, raw(1u))),
       "holds a zero byte"},
      {"key twice",
       with_key(B::key("k", 4, raw(1u)) + B::key("k", 6, raw(1.f))).replace(16, 1, "\2"),
       "key 'k' is given twice"},
      {"type 13", with_key(B::key("k", 13, raw(1u))), "key 'k': value type 13 is unknown"},
      {"type 2^32 - 1", with_key(B::key("k", UINT32_MAX, "")), "value type 4294967295 is unknown"},
      {"bool of 2", with_key(B::key("k", 7, "\2")), "key 'k': a bool is 2, 0 or 1 expected"},
      {"string of 2^64 - 1 bytes", with_key(B::key("k", 8, raw<uint64_t>(UINT64_MAX))),
       "a string value has 18446744073709551615 bytes"},
      {"string past the end", with_key(B::key("k", 8, raw<uint64_t>(1 << 29) + big)),
       "a string value needs 536870912 bytes"},
      {"array in an array", with_key(B::array("k", 9, 1, raw(4u) + raw<uint64_t>(1) + raw(1u))),
       "key 'k': an array of arrays is not supported"},
      {"array of unknown type", with_key(B::array("k", 99, 1, "")), "value type 99 is unknown"},
      {"array of 2^64 - 1", with_key(B::array("k", 6, UINT64_MAX, big)), "cannot be in"},
      {"array whose size wraps", with_key(B::array("k", 10, 1ull << 61, big)), "cannot be in"},
      {"array past the end", with_key(B::array("k", 4, 5000, big)), "5000 values of type u32"},
      {"2^60 strings", with_key(B::array("k", 8, 1ull << 60, big)), "strings cannot be in"},
      {"2^64 - 1 bools", with_key(B::array("k", 7, UINT64_MAX, big)), "an array of bools needs"},
      {"string in array past the end",
       with_key(B::array("k", 8, 2, B::text("a") + raw<uint64_t>(99999) + big)),
       "needs 99999 bytes"},
      {"bool of 7 in array", with_key(B::array("k", 7, 2, "\1\7")), "a bool is 7"},
      {"alignment 0", with_key(B::key("general.alignment", 4, raw(0u))), "general.alignment is 0"},
      {"alignment 24", with_key(B::key("general.alignment", 4, raw(24u))),
       "general.alignment is 24"},
      {"alignment 2^31", with_key(B::key("general.alignment", 4, raw(1u << 31))),
       "is 2147483648, expected a u32 power of two up to 65536"},
      {"alignment of type u64", with_key(B::key("general.alignment", 10, raw<uint64_t>(32))),
       "general.alignment is of type u64"},
      {"alignment of type string", with_key(B::key("general.alignment", 8, B::text("32"))),
       "general.alignment is of type string"},
      {"alignment is an array", with_key(B::array("general.alignment", 4, 1, raw(32u))),
       "general.alignment is of type u32[1]"},
  };
}

TEST(Gguf, RefusesEveryMalformedKey) {
  testing::expect_all_refused(malformed_keys(),
                              [](const std::string& path) { GgufFile::open(path); });
}

}  // namespace
}  // namespace halftone
