#include <gtest/gtest.h>

#include "halftone/text/bpe.h"
#include "text_testing.h"

namespace halftone {
namespace {

using namespace halftone::testing;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// All bytes, ids 0 .. 255, and added tokens behind them.
std::unique_ptr<Tokenizer> bytes_and(std::vector<AddedToken> added,
                                     std::vector<NormalizeStep> normalizer = {}) {
  BpeDefinition d{.source = "bytes", .tokens = byte_letters(), .normalizer = normalizer};
  for (AddedToken& token : added) token.id = 256 + static_cast<int32_t>(&token - added.data());
  d.added = std::move(added);
  return make_bpe(d);
}

TEST(AddedTokens, TheLongestOfAPlaceIsFoundOrNone) {
  const auto tokenizer = bytes_and({{.text = "ab"}, {.text = "abcd", .single_word = true}});
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{256, 'c'}));
  EXPECT_EQ(tokenizer->encode("abcd"), Ids{257});
  EXPECT_EQ(tokenizer->encode("abcde"), (Ids{'a', 'b', 'c', 'd', 'e'}));  // no word of its own
}

TEST(AddedTokens, AWordStandsAloneBesideWhatIsNoWordCharacter) {
  const auto tokenizer = bytes_and({{.text = "WORD", .single_word = true}});
  const auto found = [&](const std::string& before, const std::string& after) {
    const Ids ids = tokenizer->encode(before + "WORD" + after);
    return std::find(ids.begin(), ids.end(), 256) != ids.end();
  };
  for (const char* none : {"", " ", "\xe2\x80\x9c", "\xe2\x80\x94", "\xc2\xa0", "\xc2\xbd",
                           "\xf0\x9f\x98\x80", "\xe2\x91\xa0", "'", "-", "\xff"}) {
    EXPECT_TRUE(found(none, "")) << none;
    EXPECT_TRUE(found("", none)) << none;
  }
  for (const char* word : {"a", "7", "_", "\xc3\xa9", "\xcc\x81", "\xe2\x80\x8d", "\xe4\xbd\xa0",
                           "\xe2\x92\xb6", "\xd9\xa3", "\xe2\x80\xbf", "\xf0\x9f\x84\xb0"}) {
    EXPECT_FALSE(found(word, "")) << word;
    EXPECT_FALSE(found("", word)) << word;
  }
}

TEST(AddedTokens, ANormalisedOneIsFoundInWhateverFormItIsWritten) {
  const std::string composed = "\xc3\xa9!", decomposed = "e\xcc\x81!";
  for (const std::string& own : {composed, decomposed}) {
    const auto tokenizer =
        bytes_and({{.text = own, .normalized = true}}, {{.kind = NormalizeStep::Kind::nfc}});
    EXPECT_EQ(tokenizer->encode(composed), Ids{256});
    EXPECT_EQ(tokenizer->encode(decomposed), Ids{256});
    EXPECT_EQ(tokenizer->decode(Ids{256}), own);
  }
}

TEST(AddedTokens, SixThousandTokensWithOneStartTakeNoTime) {
  std::vector<AddedToken> added;
  for (int i = 0; i < 6000; ++i) added.push_back({.text = fmt::format("<unused{}>", i)});
  const auto tokenizer = bytes_and(added);
  std::string text;
  while (text.size() < 1000000) text += "<unused5999<";
  EXPECT_LT(seconds_of([&] { tokenizer->encode(text); }), 10);
}

class Folder {
 public:
  Folder() { write("tokenizer.json", read_json(kTokenizers + "smollm.json")); }
  void write(const std::string& name, const Json& content) {
    directory_.write(name, content.dump());
  }
  std::unique_ptr<Tokenizer> load() const { return load_tokenizer(directory_.path()); }
  std::string file(const std::string& name) const { return directory_.file(name); }

 private:
  TemporaryDirectory directory_;
};

TEST(NamedTokens, AContradictionNamesBothPlaces) {
  Folder folder;
  const auto refused = [&](const std::string& phrase, const Json& decoder) {
    folder.write("tokenizer_config.json", {{"added_tokens_decoder", decoder}});
    expect_refused(folder.file("tokenizer_config.json") + ": added_tokens_decoder" + phrase +
                       folder.file("tokenizer.json"),
                   [&] { folder.load(); });
  };
  refused("['1']: found '<x>' for id 1, which is '<|begin_of_text|>' in ",
          {{"1", {{"content", "<x>"}}}});
  refused("['805']: found id 805 for '<|im_start|>', which has id 2 in ",
          {{"805", {{"content", "<|im_start|>"}}}});
}

TEST(NamedTokens, IdsOfAddedTokensMayLeaveHoles) {
  Folder folder;
  const int64_t before = folder.load()->vocab_size();
  folder.write("tokenizer_config.json",
               {{"added_tokens_decoder", {{"810", {{"content", "<user>"}, {"special", true}}}}},
                {"pad_token", "<pad>"}});
  const auto tokenizer = folder.load();
  EXPECT_EQ(before, 800);
  EXPECT_EQ(tokenizer->vocab_size(), 812);
  EXPECT_EQ(tokenizer->encode("<user><pad>"), (Ids{810, 811}));
  EXPECT_TRUE(tokenizer->special(810) && tokenizer->special(811) && tokenizer->known(811));
  EXPECT_FALSE(tokenizer->known(800) || tokenizer->known(809));
  EXPECT_EQ(tokenizer->decode(Ids{809, 810, 805}), "<user>");
}

TEST(NamedTokens, IdsOfAVocabularyMayLeaveHoles) {
  Json file = read_json(kTokenizers + "smollm.json");
  for (auto& [token, id] : file["model"]["vocab"].items())
    if (id >= 700) id = id.get<int>() + 50;
  const auto tokenizer = load_bytes("tokenizer.json", file.dump());
  const auto dense = load_tokenizer(kTokenizers + "smollm.json");
  EXPECT_EQ(tokenizer->vocab_size(), 850);
  for (int32_t id = 0; id < 850; ++id) EXPECT_EQ(tokenizer->known(id), id < 700 || id >= 750);
  Ids expected = dense->encode("Once upon a time, there was a little girl.");
  for (int32_t& id : expected) id += id >= 700 ? 50 : 0;
  EXPECT_EQ(tokenizer->encode("Once upon a time, there was a little girl."), expected);
}

}  // namespace
}  // namespace halftone
