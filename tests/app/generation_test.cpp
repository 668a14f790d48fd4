// Text from a model: the generator, and the commands that are made of it.
#include "app/generation.h"

#include <nlohmann/json.hpp>

#include "app/program_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

const std::string kTeacher = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher";
// Written by the oldest of the ChatML templates.
const std::string kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}";

TEST(WholeCharacters, EndsWhereACharacterEnds) {
  const std::string text =
      "a\xc3\xa9z\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80\xcc\x81\xf4\x8f\xbf\xbf";
  std::vector<size_t> ends;
  for (size_t i = 0; i <= text.size(); ++i)
    if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) ends.push_back(i);
  EXPECT_EQ(ends.size(), 10u);
  for (size_t n = 0; n <= text.size(); ++n)
    EXPECT_EQ(whole_characters(std::string_view(text).substr(0, n)),
              *std::prev(std::ranges::upper_bound(ends, n)))
        << n;
}

// They are shown as they come: nothing that follows makes characters of them.
TEST(WholeCharacters, BytesThatAreNoTextAreNotWaitedFor) {
  for (const char* text : {"\x80", "\x80\x80\x80\x80\x80", "a\x80", "\xc3\xa9\x80"})
    EXPECT_EQ(whole_characters(text), std::string_view(text).size()) << text;
}

class GeneratorTest : public ::testing::Test {
 protected:
  static constexpr SamplingOptions kGreedy{.tokens = 8, .temperature = 0};

  std::vector<int32_t> ids_of(const std::string& text) {
    return Generator(model_, 1).tokenizer().encode(text);
  }
  static Generated run(Generator& generator, const std::vector<int32_t>& ids,
                       const SamplingOptions& options = kGreedy) {
    std::string shown;
    Generated out = generator.run(ids, options, [&](std::string_view piece) {
      EXPECT_EQ(whole_characters(piece), piece.size());
      shown += piece;
    });
    EXPECT_EQ(shown, out.text);
    EXPECT_EQ(generator.tokenizer().decode(out.ids), out.text);
    return out;
  }
  Generated fresh(const std::vector<int32_t>& ids, const SamplingOptions& options = kGreedy) {
    Generator generator(model_, 100);
    Generated out = run(generator, ids, options);
    EXPECT_EQ(out.read, static_cast<int64_t>(ids.size()));
    return out;
  }

  LoadedModel model_ = load_model(kTeacher);
};

TEST_F(GeneratorTest, GivesTheSameTextFromWhatItHasReadAsFromTheStart) {
  Generator generator(model_, 100);
  EXPECT_EQ(generator.capacity(), 100);
  const std::vector<int32_t> ids = ids_of("Once upon a time");
  const Generated first = run(generator, ids);
  EXPECT_EQ(first.read, static_cast<int64_t>(ids.size()));
  EXPECT_EQ(first.ids, fresh(ids).ids);
  // The same again, its continuation, a shorter beginning, another end, another text.
  std::vector<int32_t> longer = ids;
  longer.insert(longer.end(), first.ids.begin(), first.ids.end());
  std::vector<int32_t> shorter(ids.begin(), ids.end() - 1), other = longer;
  other.back() = ids[0];
  const std::vector<int32_t> another = ids_of("The dog ran to the");
  for (const auto& [next, read] : std::vector<std::pair<std::vector<int32_t>, size_t>>{
           {ids, 1}, {longer, 1}, {shorter, 1}, {longer, 0}, {other, 0}, {another, 0}}) {
    const Generated out = run(generator, next);
    EXPECT_EQ(out.ids, fresh(next).ids);
    if (read > 0) {
      EXPECT_EQ(out.read, static_cast<int64_t>(read));
    }
  }
}

TEST_F(GeneratorTest, StopsAtTheLimitOfTokens) {
  const std::vector<int32_t> ids = ids_of("Once upon a time");
  const Generated all = fresh(ids);
  ASSERT_EQ(all.ids.size(), 8u);
  EXPECT_FALSE(all.ended);
  for (const int64_t tokens : {1, 5}) {
    const Generated out = fresh(ids, {.tokens = tokens, .temperature = 0});
    EXPECT_EQ(out.ids, std::vector<int32_t>(all.ids.begin(), all.ids.begin() + tokens));
    EXPECT_FALSE(out.ended);
    EXPECT_GT(out.rate(), 0);
    EXPECT_GT(out.read_rate(), 0);
  }
}

TEST_F(GeneratorTest, EndsAtAnEndTokenWhichIsNotShown) {
  const std::vector<int32_t> ids = ids_of("Once upon a time");
  const Generated all = fresh(ids);
  const std::string home = ::testing::TempDir() + "generation-" + std::to_string(getpid());
  fs::create_directories(home);
  fs::copy_file(kTeacher + "/tokenizer.json", home + "/tokenizer.json",
                fs::copy_options::overwrite_existing);
  std::ofstream(home + "/generation_config.json")
      << "{\"eos_token_id\": [0, " << all.ids[3] << "]}";
  model_.home = home;
  const Generated out = fresh(ids);
  const auto end = std::ranges::find(all.ids, all.ids[3]);
  EXPECT_EQ(out.ids, std::vector<int32_t>(all.ids.begin(), end));
  EXPECT_TRUE(out.ended);
  fs::remove_all(home);
}

TEST_F(GeneratorTest, DrawsRepeatWithTheirSeed) {
  const std::vector<int32_t> ids = ids_of("Once upon a time");
  const auto drawn = [&](int64_t seed) {
    return fresh(ids, {.tokens = 16, .temperature = 1, .top_k = 0, .seed = seed}).ids;
  };
  EXPECT_EQ(drawn(1), drawn(1));
  EXPECT_NE(drawn(1), drawn(2));
}

class TalkTest : public ProgramTest {
 protected:
  // The quickstart's teacher with a chat template.
  std::string chat_model(const std::string& chat_template) const {
    const std::string model = folder_ + "/model";
    fs::create_directories(model);
    for (const char* name : {"/config.json", "/model.safetensors", "/tokenizer.json"})
      fs::copy_file(kTeacher + name, model + name, fs::copy_options::overwrite_existing);
    std::ofstream(model + "/tokenizer_config.json")
        << nlohmann::json{{"chat_template", chat_template}}.dump();
    return model;
  }
  // What the program says to lines of input.
  Output talk(const std::string& model, const std::string& lines,
              const std::string& options = "--temperature 0 --tokens 6") const {
    std::ofstream(folder_ + "/input") << lines;
    return shell("\"$H\" chat '" + model + "' " + options + " < '" + folder_ + "/input'");
  }
};

TEST_F(TalkTest, GenerateAsJsonGivesWhatItPrints) {
  const std::vector<std::string> command{"generate", kTeacher, "--prompt", "Once upon a time",
                                         "--tokens", "12",     "--seed",   "5"};
  std::vector<std::string> as_json = command;
  as_json.emplace_back("--json");
  const Output plain = program(command), got = program(as_json);
  ASSERT_EQ(got.code, 0) << got.err;
  const auto json = nlohmann::json::parse(got.out);
  EXPECT_EQ(json["prompt"], "Once upon a time");
  EXPECT_EQ(plain.out, "Once upon a time" + json["text"].get<std::string>() + "\n");
  EXPECT_EQ(json["ids"].size(), 12u);
  EXPECT_EQ(json["ended"], false);
  EXPECT_GT(json["prompt_tokens"], 0);
  EXPECT_GT(json["prompt_tokens_per_second"], 0);
  EXPECT_GT(json["tokens_per_second"], 0);
}

TEST_F(TalkTest, AConversationGoesThroughTheTemplateOfTheModel) {
  const std::string model = chat_model(kChatMl);
  const Output first = talk(model, "Hello\n");
  ASSERT_EQ(first.code, 0) << first.err;
  // A message that is put into the template is answered as one that stands in it.
  const auto generated = [&](const std::string& prompt, bool chat) {
    std::vector<std::string> command{"generate", model,           "--prompt", prompt,  "--tokens",
                                     "6",        "--temperature", "0",        "--json"};
    if (chat) command.emplace_back("--chat");
    const Output got = program(command);
    EXPECT_EQ(got.code, 0) << got.err;
    return nlohmann::json::parse(got.out);
  };
  const auto message = generated("Hello", true),
             written =
                 generated("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n", false);
  EXPECT_EQ(message["ids"], written["ids"]);
  EXPECT_EQ(message["prompt_tokens"], written["prompt_tokens"]);
  EXPECT_EQ(first.out, message["text"].get<std::string>() + "\n");
  // The second answer follows from the first and both messages.
  const std::string answer = message["text"];
  const auto second =
      generated("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n" + answer +
                    "<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n" + "<|im_start|>assistant\n",
                false);
  EXPECT_EQ(talk(model, "Hello\nWho?\n").out, first.out + second["text"].get<std::string>() + "\n");
  // With a system message it is another conversation.
  const auto told = generated(
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
      "<|im_start|>assistant\n",
      false);
  EXPECT_EQ(talk(model, "Hello\n", "--temperature 0 --tokens 6 --system 'Be brief.'").out,
            told["text"].get<std::string>() + "\n");
}

TEST_F(TalkTest, LinesThatAreNoMessages) {
  const std::string model = chat_model(kChatMl);
  const Output first = talk(model, "Hello\n");
  EXPECT_EQ(talk(model, "Hello\n/reset\nHello\n").out, first.out + first.out);
  for (const char* lines :
       {"Hello\n/exit\nWho?\n", "Hello\n\nWho?\n", "Hello\r\n\r\nWho?\r\n", "Hello"})
    EXPECT_EQ(talk(model, lines).out, first.out) << lines;
  const Output nothing = talk(model, "");
  EXPECT_EQ(nothing.code, 0) << nothing.err;
  EXPECT_EQ(nothing.out, "");
}

TEST_F(TalkTest, AConversationThatIsTooLongIsSaidAndGoesOnAnew) {
  const std::string model = chat_model(kChatMl), longer(400, 'x');
  const Output got = talk(model, longer + "\nHello\n", "--temperature 0 --tokens 6 --context 60");
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_NE(got.err.find("--context 60: /reset begins anew"), std::string::npos) << got.err;
  EXPECT_EQ(got.out, talk(model, "Hello\n").out);  // the long message was taken back
}

TEST_F(TalkTest, AModelWithoutAKnownTemplateIsNotTalkedTo) {
  const Output none = talk(kTeacher, "Hello\n");
  EXPECT_EQ(none.code, 2);
  EXPECT_EQ(none.out, "");
  EXPECT_NE(none.err.find("the model has no chat template"), std::string::npos) << none.err;
  const std::string model = chat_model("{{ messages }}");
  for (const Output& got :
       {talk(model, "Hello\n"), program({"generate", model, "--prompt", "Hello", "--chat"})}) {
    EXPECT_EQ(got.code, 2);
    EXPECT_EQ(got.out, "");
    EXPECT_NE(got.err.find("is none of the known ones: smollm2"), std::string::npos) << got.err;
  }
}

TEST_F(TalkTest, BenchAsJsonHasItsFigures) {
  const Output got = program(
      {"bench", kTeacher, "--prompt", "8", "--tokens", "4", "--repetitions", "2", "--json"});
  ASSERT_EQ(got.code, 0) << got.err;
  const auto json = nlohmann::json::parse(got.out);
  EXPECT_EQ(json["prompt"]["tokens"], 8);
  EXPECT_EQ(json["decode"]["tokens"], 4);
  for (const char* part : {"prompt", "decode"}) {
    EXPECT_GT(json[part]["tokens_per_second"], 0) << part;
    EXPECT_GE(json[part]["spread"], 0) << part;
  }
  // Every weight is read for each token: 3279104 parameters in F16 at least.
  EXPECT_GE(json["decode"]["bytes_per_token"], 2 * 3279104 * 0.99);
  EXPECT_GT(json["decode"]["bandwidth_share"], 0);
  EXPECT_GT(json["read_bandwidth"], 1e8);
  EXPECT_GT(json["machine"]["threads"], 0);
}

}  // namespace
}  // namespace halftone
