#include "halftone/io/strict_json.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::TemporaryDirectory;

TEST(StrictJson, ReadsWhatIsPlain) {
  EXPECT_EQ(parse_strict_json(R"( {"a": [1, {"a": 2}], "b": null} )", "f").dump(),
            R"({"a":[1,{"a":2}],"b":null})");
  EXPECT_EQ(parse_strict_json("[[[]]]", "f", 3).dump(), "[[[]]]");
  for (const char* text :
       {"null", "-7", "\"a\\n\"", "[]", "{}", "[[],{},[1,[2,{\"b\":[]}],3],{\"a\":{}}]",
        "{\"a\":[true,false,null,1.5,-1,18446744073709551615,\"\u00e9\"],\"b\":{\"a\":1,\"b\":{}}"
        "}"})
    EXPECT_EQ(parse_strict_json(text, "f"), nlohmann::json::parse(text)) << text;
  EXPECT_TRUE(parse_strict_json("1", "f").is_number_unsigned());
}

TEST(StrictJson, RefusesWhatTwoReadersCouldTakeInTwoWays) {
  const auto refused = [](std::string_view text, const std::string& phrase) {
    SCOPED_TRACE(std::string(text));
    expect_refused("file.json: " + phrase, [&] { parse_strict_json(text, "file.json", 4); });
  };
  refused(R"({"a": 1, "b": 2, "a": 3})", "key 'a' is given twice");
  refused(R"([{"x": {"k": 1, "\u006b": 2}}])", "key 'k' is given twice");
  refused(std::string_view("{}\0{}", 5), "byte 2: a zero byte");
  refused("[[[[[]]]]]", "JSON nested deeper than 4 levels");
  refused(R"({"a":{"a":{"a":{"a":{}}}}})", "JSON nested deeper than 4 levels");
  refused("{} {}", "not valid JSON");
  refused("", "not valid JSON");
  refused("{\"a\": NaN}", "not valid JSON");
  refused("[1e999]", "not valid JSON");
  refused("\"\xc0\xaf\"", "not valid JSON");
  refused("\"\xed\xa0\x80\"", "not valid JSON");
  refused("{'a': 1}", "not valid JSON");
  refused("[1,]", "not valid JSON");
  refused("// note\n[]", "not valid JSON");
  refused(std::string(100000, '['), "JSON nested deeper");
}

TEST(StrictJson, OfAFileIsNamedByItsPathAndHasALimit) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a.json", "[1, 2]");
  EXPECT_EQ(read_json_file(path, 6).size(), 2u);
  expect_refused(path + ": holds 6 bytes, at most 5 expected", [&] { read_json_file(path, 5); });
  directory.write("a.json", "[1, 2");
  expect_refused(path + ": not valid JSON", [&] { read_json_file(path, 6); });
  directory.write("a.json", "[[]]");
  expect_refused("nested deeper than 1 levels", [&] { read_json_file(path, 6, 1); });
}

TEST(StrictJson, WhatTheLibrarySaysIsToldWithoutItsCodes) {
  try {
    const auto parsed = nlohmann::json::parse("[1,]");
    FAIL() << parsed;
  } catch (const nlohmann::json::exception& error) {
    EXPECT_NE(std::string(error.what()).find("[json"), std::string::npos);
    EXPECT_EQ(json_error_text(error).find("[json"), std::string::npos);
    EXPECT_EQ(json_error_text(error).substr(0, 11), "parse error");
  }
}

}  // namespace
}  // namespace halftone
