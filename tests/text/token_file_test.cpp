#include "halftone/text/token_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/io/sealed_file.h"
#include "halftone/text/token_stream.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

TEST_F(DataTest, TokenFilesComeBackAndDamageIsNoticed) {
  const std::string path = folder_ + "/a.tok";
  const std::vector<int32_t> tokens{5, 1, 2047, 0};
  write_token_file(path, tokens, *tokenizer_);
  EXPECT_EQ(read_token_file(path, *tokenizer_), tokens);
  EXPECT_EQ(read_token_stream({path}, *tokenizer_), tokens);
  std::ifstream file(path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  std::string unsealed = whole.substr(0, whole.size() - kSealBytes);
  unsealed[8] = 1;
  EXPECT_EQ(read_token_file(write("unsealed.tok", unsealed), *tokenizer_), tokens);
  const auto refused = [&](const std::string& bytes) {
    EXPECT_THROW(read_token_file(write("damaged.tok", bytes), *tokenizer_), Error);
  };
  for (const std::string& good : {whole, unsealed}) {
    for (size_t length = 0; length < good.size(); ++length) refused(good.substr(0, length));
    refused(good + "x");
    for (const size_t at : {8, 12, 20, 80, 87}) {  // version, width, the tokenizer's hash, count
      std::string spoiled = good;
      spoiled[at] ^= 1;
      refused(spoiled);
    }
  }
  std::string beyond = unsealed;
  beyond[beyond.size() - 7] = 8;  // the first id becomes 2048 or more
  refused(beyond);
  std::string other_id = whole;
  other_id[88] ^= 1;
  refused(other_id);
  EXPECT_THROW(write_token_file(path, {2048}, *tokenizer_), std::invalid_argument);
  EXPECT_EQ(read_token_file(path, *tokenizer_), tokens);
}

}  // namespace
}  // namespace halftone
