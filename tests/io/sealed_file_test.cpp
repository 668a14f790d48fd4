#include "halftone/io/sealed_file.h"

#include <gtest/gtest.h>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

class SealedFile : public TemporaryFolder {
 protected:
  // What check_seal says of `content`; "" when it finds it whole.
  std::string fault(const std::string& content) const {
    put("b", content);
    try {
      check_seal(at("b"));
      return "";
    } catch (const Error& e) {
      return e.kind() == ErrorKind::format ? e.what() : "wrong kind";
    }
  }
  std::string sealed(const std::string& content) const {
    put("a", content);
    seal_file(at("a"));
    return get("a");
  }
};

TEST_F(SealedFile, KeepsTheContentAndTellsItsLength) {
  for (const std::string& content :
       {std::string(), std::string("x"), std::string(3'000'000, 'y')}) {
    const std::string whole = sealed(content);
    EXPECT_EQ(whole.size(), content.size() + kSealBytes);
    EXPECT_EQ(whole.substr(0, content.size()), content);
    EXPECT_EQ(check_seal(at("a")).bytes, content.size());
  }
}

TEST_F(SealedFile, HasTheDocumentedLayout) {
  const std::string whole = sealed("abc");
  EXPECT_EQ(whole.substr(3, 24), std::string("HALFTONE\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 24));
  std::string digest;
  for (size_t i = 0; i < 32; ++i)
    digest += fmt::format("{:02x}", static_cast<uint8_t>(whole[27 + i]));
  EXPECT_EQ(digest, sha256_hex("abc"));
  EXPECT_EQ(whole.substr(59), std::string(8, '\0'));
}

TEST_F(SealedFile, EveryBitOfAShortFileCounts) {
  const std::string whole = sealed("the content");
  EXPECT_EQ(fault(whole), "");
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(fault(damaged).starts_with(at("b") + ": damaged: ")) << bit;
  }
}

TEST_F(SealedFile, EveryLengthButTheWholeIsRefused) {
  const std::string whole = sealed("the content");
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_NE(fault(whole.substr(0, n)), "") << n;
  EXPECT_NE(fault(whole + "x"), "");
  EXPECT_NE(fault("x" + whole), "");
}

TEST_F(SealedFile, IsWrittenWholeOrNotAtAll) {
  write_sealed_file(at("a"), "old");
  int steps = 0;
  for (bool died = true; died; ++steps) {
    died = dies_at_step(steps, [&] { write_sealed_file(at("a"), "newer"); });
    const uint64_t bytes = check_seal(at("a")).bytes;
    EXPECT_TRUE(get("a").substr(0, bytes) == (bytes == 3 ? "old" : "newer"));
    remove_temporaries();
    if (died) write_sealed_file(at("a"), "old");
  }
  EXPECT_EQ(steps, 9);  // open, write, close, seal, verify, fsync, rename, fsync, none
  EXPECT_EQ(files(), std::vector<std::string>{"a"});
}

TEST_F(SealedFile, AFaultFoundInReadingBackIsAFailedWrite) {
  write_sealed_file(at("a"), "old");
  const auto spoil = [&](const std::string& temporary) {
    std::ofstream(temporary, std::ios::app) << "x";
    check_seal(temporary);
  };
  const auto fill = [&](const std::string& temporary) { write_bytes(temporary, "new", at("a")); };
  try {
    write_sealed_file(at("a"), fill, spoil);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
  }
  EXPECT_EQ(check_seal(at("a")).bytes, 3u);
  EXPECT_EQ(get("a").substr(0, 3), "old");
}

TEST_F(SealedFile, AnUnsealedFileIsNamedAsSuch) {
  EXPECT_EQ(fault("abc"), at("b") + ": damaged: 3 bytes, at least 64 expected");
  EXPECT_EQ(fault(std::string(100, 'a')), at("b") + ": damaged: no seal at its end");
}

}  // namespace
}  // namespace halftone
