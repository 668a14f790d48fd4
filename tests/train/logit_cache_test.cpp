#include "halftone/train/logit_cache.h"

#include "halftone/base/error.h"
#include "halftone/io/sealed_file.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

// Rows that tell where they belong: ids s, s + 1, ... of token t in sequence s, log p = -t.
TopLogProbs rows_of(const LogitCacheSpec& spec, const std::vector<int64_t>& sequences) {
  const int64_t n = static_cast<int64_t>(sequences.size()) * spec.length, k = spec.top_k;
  std::vector<int32_t> ids;
  std::vector<float> log_probs;
  for (const int64_t s : sequences)
    for (int64_t t = 0; t < spec.length; ++t)
      for (int64_t j = 0; j < k; ++j) {
        ids.push_back(static_cast<int32_t>(spec.vocabulary - 7 + s + j));
        log_probs.push_back(static_cast<float>(-t));
      }
  return {Tensor::of({n, k}, ids), Tensor::of({n, k}, log_probs).to(DType::f16)};
}

template <class T>
std::vector<T> numbers(const Tensor& x) {
  return {x.data<T>(), x.data<T>() + x.numel()};
}

class LogitCacheTest : public TemporaryFolder {
 protected:
  // Five sequences in three parts.
  LogitCacheSpec spec(int64_t vocabulary = 1000) const {
    return {.directory = folder(),
            .key = std::string(64, 'a'),
            .sequences = 5,
            .length = 5000,
            .vocabulary = vocabulary,
            .top_k = 3};
  }
  LogitCache whole(const LogitCacheSpec& s) const {
    LogitCache cache(s);
    cache.write(0, std::vector{rows_of(s, {0}), rows_of(s, {1})});
    cache.write(1, std::vector{rows_of(s, {2, 3})});
    cache.write(2, std::vector{rows_of(s, {4})});
    return cache;
  }
  std::string error_of(const LogitCacheSpec& s) const {
    try {
      LogitCache cache(s);
      return "(no error)";
    } catch (const Error& error) {
      return error.kind() == ErrorKind::format ? error.what() : "wrong kind";
    }
  }
};

TEST_F(LogitCacheTest, GivesTheRowsOfAnySequencesInAnyOrder) {
  for (const int64_t vocabulary : {1000, 65536, 65537}) {  // the last takes ids of four bytes
    const LogitCacheSpec s = spec(vocabulary);
    const LogitCache written = whole(s), opened(s);
    EXPECT_TRUE(opened.whole());
    EXPECT_EQ(opened.sha256(), written.sha256());
    for (const std::vector<int64_t>& sequences :
         {std::vector<int64_t>{0, 1, 2, 3, 4}, {4, 0, 3}, {2, 2}}) {
      const TopLogProbs got = opened.rows(sequences), expected = rows_of(s, sequences);
      EXPECT_EQ(numbers<int32_t>(got.ids), numbers<int32_t>(expected.ids));
      EXPECT_EQ(numbers<float>(got.log_probs.to(DType::f32)),
                numbers<float>(expected.log_probs.to(DType::f32)));
    }
    for (const std::string& file : files()) std::filesystem::remove(at(file));
  }
}

TEST_F(LogitCacheTest, TakesTheBytesThatItPlansInTheDocumentedLayout) {
  const LogitCacheSpec s = spec();
  whole(s);
  EXPECT_EQ(files(), (std::vector<std::string>{"part-000", "part-001", "part-002"}));
  uint64_t bytes = 0;
  for (const std::string& file : files()) bytes += std::filesystem::file_size(at(file));
  EXPECT_EQ(bytes, s.bytes());
  EXPECT_EQ(bytes, 3 * (112 + kSealBytes) + 5 * 5000 * 3 * (2 + 2));
  const std::string part = get("part-001");
  const auto number = [&](size_t offset, size_t width) {
    uint64_t out = 0;
    for (size_t i = width; i-- > 0;) out = out << 8 | static_cast<uint8_t>(part[offset + i]);
    return out;
  };
  EXPECT_EQ(part.substr(0, 8), "HTLOGITS");
  EXPECT_EQ(number(8, 4), 1u);
  EXPECT_EQ(number(12, 4), 2u);
  EXPECT_EQ(part.substr(16, 64), s.key);
  EXPECT_EQ(number(80, 8), 3u);
  EXPECT_EQ(number(88, 8), 5000u);
  EXPECT_EQ(number(96, 8), 2u);
  EXPECT_EQ(number(104, 8), 2u);
  EXPECT_EQ(number(112, 2), 995u);
  EXPECT_EQ(number(112 + 2 * 5000 * 3 * 2 + 6, 2), 0xbc00u);  // -1.0 of its second token
}

TEST_F(LogitCacheTest, PartsCoverTheTextInOrderAndAreNeverMoreThan256) {
  for (const int64_t sequences : {1, 2, 255, 256, 257, 511, 100'003})
    for (const int64_t length : {2, 100, 8191, 8192, 8193, 1'000'000}) {
      const LogitCacheSpec s{
          .sequences = sequences, .length = length, .vocabulary = 10, .top_k = 1};
      EXPECT_LE(s.parts(), 256);
      EXPECT_EQ(s.first_sequence(0), 0);
      EXPECT_EQ(s.first_sequence(s.parts()), sequences);
      for (int64_t part = 0; part < s.parts(); ++part)
        EXPECT_LT(s.first_sequence(part), s.first_sequence(part + 1));
    }
}

TEST_F(LogitCacheTest, WhatIsMissingIsKnownAndCanBeWrittenInAnyOrder) {
  const LogitCacheSpec s = spec();
  const std::string digest = whole(s).sha256();
  std::filesystem::remove(at("part-001"));
  LogitCache cache(s);
  EXPECT_FALSE(cache.whole());
  EXPECT_FALSE(cache.holds(1));
  EXPECT_TRUE(cache.holds(0) && cache.holds(2));
  EXPECT_THROW(cache.rows(std::vector<int64_t>{2}), std::invalid_argument);
  EXPECT_THROW(cache.rows(std::vector<int64_t>{5}), std::invalid_argument);
  EXPECT_THROW(cache.sha256(), std::invalid_argument);
  EXPECT_THROW(cache.write(1, std::vector{rows_of(s, {2})}), std::invalid_argument);
  cache.write(1, std::vector{rows_of(s, {2, 3})});
  EXPECT_EQ(cache.sha256(), digest);
  cache.write(2, std::vector{rows_of(s, {0})});
  EXPECT_NE(cache.sha256(), digest);
  EXPECT_FALSE(LogitCache({.directory = at("nowhere"),
                           .key = s.key,
                           .sequences = 1,
                           .length = 2,
                           .vocabulary = 3,
                           .top_k = 1})
                   .whole());
}

TEST_F(LogitCacheTest, ADamagedPartIsNamed) {
  const LogitCacheSpec s = spec();
  whole(s);
  const std::string good = get("part-001");
  for (const size_t byte : {size_t{0}, size_t{20}, size_t{200}, good.size() / 2, good.size() - 1}) {
    std::string bad = good;
    bad[byte] ^= 1;
    put("part-001", bad);
    EXPECT_EQ(error_of(s).find(at("part-001") + ": "), 0u) << byte;
  }
  for (const size_t length : {size_t{0}, size_t{100}, good.size() - 1}) {
    put("part-001", good.substr(0, length));
    EXPECT_EQ(error_of(s).find(at("part-001") + ": "), 0u) << length;
  }
  put("part-001", good);
  EXPECT_EQ(error_of(s), "(no error)");
}

TEST_F(LogitCacheTest, AWholeFileOfAnotherCacheOrPlaceIsRefused) {
  const LogitCacheSpec s = spec();
  whole(s);
  LogitCacheSpec other = s;
  other.key[63] = 'b';
  EXPECT_NE(error_of(other).find("part-000: key of teacher"), std::string::npos);
  const std::string good = get("part-001");
  put("part-001", get("part-000"));
  EXPECT_EQ(error_of(s), at("part-001") + ": first sequence: found 0, expected 2");
  write_sealed_file(at("part-001"), "HTLOGITS, but short");
  EXPECT_NE(error_of(s).find("part-001: bytes: found"), std::string::npos);
  for (const auto& [byte, what] : {std::pair{0, "start"}, {8, "version"}}) {
    std::string content = good.substr(0, good.size() - kSealBytes);
    content[byte] ^= 2;
    write_sealed_file(at("part-001"), content);
    EXPECT_NE(error_of(s).find(std::string("part-001: ") + what), std::string::npos) << error_of(s);
  }
}

TEST_F(LogitCacheTest, KilledAtAnyStepAPartIsWholeOrMissing) {
  const LogitCacheSpec s = spec();
  int missing = 0, there = 0;
  for (bool died = true; died;) {
    std::filesystem::remove(at("part-002"));
    died = dies_at_step(missing + there,
                        [&] { LogitCache(s).write(2, std::vector{rows_of(s, {4})}); });
    remove_temporaries();
    (LogitCache(s).holds(2) ? there : missing) += 1;
  }
  EXPECT_EQ(missing, 7);  // open, write, close, seal, verify, fsync, rename
  EXPECT_EQ(there, 2);    // fsync of the directory, none
}

}  // namespace
}  // namespace halftone
