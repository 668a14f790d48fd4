#include "halftone/io/checkpoint_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "halftone/base/rng.h"
#include "halftone/base/sha256.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/sealed_file.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

class CheckpointFile : public TemporaryFolder {};

Tensor noise(Shape shape, DType dtype, uint64_t stream) {
  Tensor out = Tensor::uninitialized(std::move(shape), dtype);
  Rng rng(7, stream);
  auto* bytes = static_cast<uint8_t*>(out.raw());
  for (size_t i = 0; i < out.bytes(); ++i) bytes[i] = static_cast<uint8_t>(rng.below(256));
  return out;
}

CheckpointContent some_content(uint64_t stream) {
  CheckpointContent out;
  const DType dtypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16,
                          DType::i32, DType::i64, DType::u8};
  for (const DType dtype : dtypes) {
    out.tensors[std::string("model/layers.0.") + dtype_name(dtype)] =
        noise({3, 5}, dtype, stream++);
    out.tensors[std::string("state/scalar.") + dtype_name(dtype)] = noise({}, dtype, stream++);
    out.tensors[std::string("state/empty.") + dtype_name(dtype)] = Tensor::zeros({0, 4}, dtype);
  }
  out.tensors["optimizer/m/layers.0.weight"] = noise({64, 33}, DType::f32, stream++);
  out.tensors["optimizer/v/layers.0.weight"] =
      noise({1, 2, 3, 4, 1, 1, 2, 1}, DType::f64, stream++);
  out.meta = {{"recipe", "[run]\nname = \"a\"\n"},
              {"empty", ""},
              {"lines", "a\n\"b\"\t"},
              {"long", std::string(200'000, 'x')},
              {"text.utf8", "\xc3\xa9"}};
  return out;
}

void expect_equal(const CheckpointContent& a, const CheckpointContent& b) {
  EXPECT_EQ(a.meta, b.meta);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    ASSERT_TRUE(b.tensors.count(name)) << name;
    const Tensor& other = b.tensors.at(name);
    EXPECT_EQ(tensor.dtype(), other.dtype()) << name;
    EXPECT_EQ(tensor.shape(), other.shape()) << name;
    ASSERT_EQ(tensor.bytes(), other.bytes()) << name;
    EXPECT_EQ(std::string_view(static_cast<const char*>(tensor.raw()), tensor.bytes()),
              std::string_view(static_cast<const char*>(other.raw()), other.bytes()))
        << name;
  }
}

// Error(format) that names the file, and nothing else.
bool is_refused(const std::string& path, std::string* text = nullptr) {
  try {
    read_checkpoint_file(path);
  } catch (const Error& error) {
    if (text) *text = error.what();
    return error.kind() == ErrorKind::format && std::string(error.what()).starts_with(path + ": ");
  }
  return false;
}

TEST_F(CheckpointFile, EveryDTypeAndShapeComesBackToTheBit) {
  const CheckpointContent content = some_content(1);
  write_checkpoint_file(at("a.h5"), content);
  expect_equal(read_checkpoint_file(at("a.h5")), content);
  EXPECT_EQ(files(), std::vector<std::string>{"a.h5"});
}

TEST_F(CheckpointFile, TheSameContentGivesTheSameBytes) {
  write_checkpoint_file(at("a.h5"), some_content(1));
  ::sleep(1);  // a time in the file would differ
  write_checkpoint_file(at("b.h5"), some_content(1));
  EXPECT_EQ(sha256_file(at("a.h5")), sha256_file(at("b.h5")));
}

TEST_F(CheckpointFile, AnyFlippedBitIsFound) {
  write_checkpoint_file(at("a.h5"), some_content(1));
  const std::string whole = get("a.h5");
  Rng rng(3, RngStream::test);
  int found = 0;
  const int flips = 2000 + 64 * 8;
  for (int i = 0; i < flips; ++i) {
    std::string damaged = whole;
    // Everywhere at random, then each bit of the seal.
    const size_t bit = i < 2000 ? rng.below(whole.size() * 8)
                                : (whole.size() - 64) * 8 + static_cast<size_t>(i - 2000);
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    put("b.h5", damaged);
    found += is_refused(at("b.h5"));
  }
  EXPECT_EQ(found, flips);
}

TEST_F(CheckpointFile, AnyTruncationAndAnyGrowthIsFound) {
  write_checkpoint_file(at("a.h5"), some_content(1));
  const std::string whole = get("a.h5");
  std::vector<size_t> sizes;
  for (size_t percent = 0; percent < 100; ++percent) sizes.push_back(whole.size() * percent / 100);
  for (size_t cut = 1; cut <= 100; ++cut) sizes.push_back(whole.size() - cut);
  for (const size_t size : sizes) {
    put("b.h5", whole.substr(0, size));
    EXPECT_TRUE(is_refused(at("b.h5"))) << size << " of " << whole.size();
  }
  put("b.h5", whole + '\0');
  EXPECT_TRUE(is_refused(at("b.h5")));
  put("b.h5", whole + whole.substr(whole.size() - 64));
  EXPECT_TRUE(is_refused(at("b.h5")));
  put("b.h5", whole);
  EXPECT_FALSE(is_refused(at("b.h5")));
}

TEST_F(CheckpointFile, AZeroedPageIsFound) {
  write_checkpoint_file(at("a.h5"), some_content(1));
  std::string damaged = get("a.h5");
  const size_t page = damaged.size() / 2 / 4096 * 4096;
  damaged.replace(page, 4096, 4096, '\0');
  put("b.h5", damaged);
  std::string text;
  EXPECT_TRUE(is_refused(at("b.h5"), &text));
  EXPECT_NE(text.find("SHA-256"), std::string::npos) << text;
}

TEST_F(CheckpointFile, AnotherVersionOfTheSealIsNamed) {
  write_checkpoint_file(at("a.h5"), some_content(1));
  std::string later = get("a.h5");
  later[later.size() - 64 + 8] = 2;
  put("b.h5", later);
  std::string text;
  EXPECT_TRUE(is_refused(at("b.h5"), &text));
  EXPECT_NE(text.find("seal of version 2, 1 expected"), std::string::npos) << text;
}

// Few bytes that many tensors claim would take memory without end.
TEST_F(CheckpointFile, TensorsThatLieOneOverAnotherAreRefused) {
  CheckpointContent content;
  for (const char* name : {"model/a", "model/b"})
    content.tensors[name] = Tensor::zeros({1000}, DType::f32);
  write_checkpoint_file(at("a.h5"), content);
  std::string bytes = get("a.h5");
  bytes.resize(bytes.size() - kSealBytes);
  const auto number = [](uint64_t value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto replace_all = [&](const std::string& from, const std::string& to) {
    for (size_t i = 0; (i = bytes.find(from, i)) != bytes.npos; i += to.size())
      bytes.replace(i, to.size(), to);
  };
  replace_all(number(1000), number(2500));   // dimensions
  replace_all(number(4000), number(10000));  // bytes
  for (size_t i = 0; (i = bytes.find(number(10000), i)) != bytes.npos; i += 8)
    bytes.replace(i - 8, 8, number(0));  // where they begin
  put("a.h5", bytes);
  seal_file(at("a.h5"));
  std::string text;
  EXPECT_TRUE(is_refused(at("a.h5"), &text));
  EXPECT_NE(text.find("'model/b' lies where other datasets do"), std::string::npos) << text;
}

TEST_F(CheckpointFile, WhatIsNoRegularFileIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkdir(at("folder").c_str(), 0700), 0);
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  for (const char* name : {"folder", "pipe", "missing"}) EXPECT_TRUE(is_refused(at(name))) << name;
}

TEST_F(CheckpointFile, NamesOutsideOfTheGroupsAreTheCallersFault) {
  for (const char* name : {"weights", "other/w", "model/", "model//w", "model/../w", "model/."}) {
    CheckpointContent content;
    content.tensors[name] = Tensor::zeros({1}, DType::f32);
    EXPECT_THROW(write_checkpoint_file(at("a.h5"), content), std::invalid_argument) << name;
  }
  for (const auto& [key, text] : {std::pair{"a/b", "x"}, std::pair{"", "x"}})
    EXPECT_THROW(write_checkpoint_file(at("a.h5"), {.tensors = {}, .meta = {{key, text}}}),
                 std::invalid_argument);
  EXPECT_THROW(
      write_checkpoint_file(at("a.h5"), {.tensors = {}, .meta = {{"a", std::string(1, '\0')}}}),
      std::invalid_argument);
  EXPECT_TRUE(files().empty());
}

TEST_F(CheckpointFile, KilledAtAnyStepTheOldOrTheNewOneIsWhole) {
  const CheckpointContent old = some_content(1), next = some_content(2);
  int steps = 0, survived = 0;
  for (bool done = false; !done; ++steps) {
    write_checkpoint_file(at("a.h5"), old);
    done = !dies_at_step(steps, [&] { write_checkpoint_file(at("a.h5"), next); });
    const CheckpointContent found = read_checkpoint_file(at("a.h5"));
    const bool is_new = tensors_digest(found.tensors) == tensors_digest(next.tensors);
    expect_equal(found, is_new ? next : old);
    survived += is_new;
    remove_temporaries();
  }
  EXPECT_GT(steps, 30);    // a write for each dataset, and the steps around them
  EXPECT_EQ(survived, 2);  // killed between rename and the directory's fsync, and not killed
}

TEST_F(CheckpointFile, AnExceptionAtAnyStepLeavesTheOldOneAndNoTemporary) {
  write_checkpoint_file(at("a.h5"), some_content(1));
  const std::string before = get("a.h5");
  int steps = 0;
  for (;; ++steps) {
    if (!throws_at_step(steps, [&] { write_checkpoint_file(at("a.h5"), some_content(2)); })) break;
    EXPECT_EQ(files(), std::vector<std::string>{"a.h5"}) << steps;
    if (get("a.h5") != before) break;  // past the rename
  }
  EXPECT_GT(steps, 30);
}

TEST_F(CheckpointFile, ALimitOfTheFileSizeIsAnIoErrorAndTheOldOneStays) {
  write_checkpoint_file(at("a.h5"), some_content(1));
  const std::string before = get("a.h5");
  for (const size_t limit : {size_t{0}, size_t{100}, size_t{5000}, before.size() / 2,
                             before.size() - 65, before.size() - 64, before.size() - 1}) {
    const int code = exit_code_of_child([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit size{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &size);
      try {
        write_checkpoint_file(at("a.h5"), some_content(2));
      } catch (const Error& error) {
        const bool named = std::string(error.what()).find("File too large") != std::string::npos;
        std::exit(error.kind() == ErrorKind::io ? (named ? 40 : 41) : 42);  // as a program ends
      }
      return 0;
    });
    EXPECT_EQ(code, 40) << "limit " << limit;
    EXPECT_EQ(get("a.h5"), before);
    EXPECT_EQ(files(), std::vector<std::string>{"a.h5"});
  }
}

TEST_F(CheckpointFile, AMissingFolderIsAnIoError) {
  try {
    write_checkpoint_file(at("gone/a.h5"), some_content(1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find("No such file or directory"), std::string::npos)
        << error.what();
  }
}

TEST(TensorsDigest, DependsOnNamesDTypesShapesAndNumbers) {
  const auto digest = [](std::string name, Shape shape, DType dtype, double value) {
    return tensors_digest({{std::move(name), Tensor::full(std::move(shape), dtype, value)}});
  };
  const std::string base = digest("model/a", {2, 3}, DType::f32, 1);
  EXPECT_EQ(base, digest("model/a", {2, 3}, DType::f32, 1));
  EXPECT_NE(base, digest("model/b", {2, 3}, DType::f32, 1));
  EXPECT_NE(base, digest("model/a", {3, 2}, DType::f32, 1));
  EXPECT_NE(base, digest("model/a", {2, 3}, DType::f32, 2));
  EXPECT_NE(digest("a", {2}, DType::f32, 0), digest("a", {2}, DType::i32, 0));
  EXPECT_EQ(base.size(), 64u);
}

}  // namespace
}  // namespace halftone
