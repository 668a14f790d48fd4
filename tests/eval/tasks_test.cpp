#include "halftone/eval/tasks.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"

namespace halftone {
namespace {

class TasksTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& text, const std::string& task = "piqa") {
    std::ofstream(folder_ + "/" + task + ".jsonl") << text;
  }
  // Of the second line of a file whose first is good.
  std::string error_of(const std::string& line, const std::string& task = "piqa") {
    const std::string good = task == "lambada_openai"
                                 ? R"({"context": "a", "choices": [" b"], "gold": 0})"
                                 : R"({"context": "a", "choices": [" b", " c"], "gold": 1})";
    write(good + "\n" + line + "\n", task);
    try {
      read_task(task_named(task), folder_, 1);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format);
      return error.what();
    }
    return "no error";
  }
  const std::string folder_ = ::testing::TempDir() + "tasks-" + std::to_string(getpid());
};

TEST_F(TasksTest, ADocumentIsAContextWithItsChoicesOrContextsWithOne) {
  const std::string text =
      "{\"id\": 7, \"context\": \"Question: Why?\\nAnswer:\", \"choices\": [\" So.\", \" No.\", "
      "\" \xc3\xa9\"], \"gold\": 2}\n"
      "{\"contexts\": [\"Ann met Bea. Ann\", \"Ann met Bea. Bea\"], \"choices\": [\" left.\"], "
      "\"gold\": 0}";
  write(text, "winogrande");
  const TaskDocuments task = read_task(task_named("winogrande"), folder_, 0);
  ASSERT_EQ(task.documents.size(), 2u);
  EXPECT_EQ(task.in_file, 2);
  EXPECT_EQ(task.sha256, sha256_hex(text));
  const TaskDocument &choices = task.documents[0], &contexts = task.documents[1];
  ASSERT_EQ(choices.requests.size(), 3u);
  EXPECT_EQ(choices.requests[1].context, "Question: Why?\nAnswer:");
  EXPECT_EQ(choices.requests[1].continuation, " No.");
  EXPECT_EQ(choices.gold, 2u);
  ASSERT_EQ(contexts.requests.size(), 2u);
  EXPECT_EQ(contexts.requests[1].context, "Ann met Bea. Bea");
  EXPECT_EQ(contexts.requests[0].continuation, " left.");
  EXPECT_EQ(contexts.requests[1].continuation, " left.");
  EXPECT_EQ(contexts.gold, 0u);
}

TEST_F(TasksTest, ALimitTakesTheFirstDocumentsOfAFileThatIsCheckedAsAWhole) {
  const std::string line = R"({"context": "a", "choices": [" b", " c"], "gold": 1})";
  write(line + "\n" + line + "\n" + line + "\n");
  const TaskDocuments task = read_task(task_named("piqa"), folder_, 2);
  EXPECT_EQ(task.documents.size(), 2u);
  EXPECT_EQ(task.in_file, 3);
  EXPECT_NE(error_of("{").find("piqa.jsonl:2: "), std::string::npos);
}

TEST_F(TasksTest, FaultsNameFileLineAndField) {
  const std::string at = folder_ + "/piqa.jsonl:2: ";
  const std::pair<const char*, const char*> faults[] = {
      {R"({"choices": [" b", " c"], "gold": 1})", "context is missing"},
      {R"({"context": 3, "choices": [" b", " c"], "gold": 1})",
       "context: found 3, expected a string"},
      {R"({"context": "a", "gold": 1})", "choices is missing"},
      {R"({"context": "a", "choices": " b", "gold": 1})",
       "choices: found \" b\", expected an array"},
      {R"({"context": "a", "choices": [" b"], "gold": 0})",
       "choices: found [\" b\"], expected at least 2 texts"},
      {R"({"context": "a", "choices": [" b", ""], "gold": 0})",
       "choices[1]: found \"\", expected a text that is not empty"},
      {R"({"context": "a", "choices": [" b", " c"]})", "gold is missing"},
      {R"({"context": "a", "choices": [" b", " c"], "gold": 2})",
       "gold: found 2, expected the index of a choice in 0 .. 1"},
      {R"({"context": "a", "choices": [" b", " c"], "gold": -1})", "gold: found -1"},
      {R"({"context": "a", "choices": [" b", " c"], "gold": "1"})", "gold: found \"1\""},
      {R"({"contexts": ["a"], "choices": [" b"], "gold": 0})", "contexts: found [\"a\"]"},
      {R"({"contexts": ["a", "b"], "choices": [" b", " c"], "gold": 0})",
       "choices: found [\" b\",\" c\"], expected one text beside several contexts"},
  };
  for (const auto& [line, fault] : faults)
    EXPECT_EQ(error_of(line).find(at + fault), 0u) << error_of(line) << "\nexpected: " << fault;
  EXPECT_EQ(error_of("").find(at), 0u) << error_of("");  // an empty line
  EXPECT_NE(error_of(R"({"context": "a", "choices": [" b", " c"], "gold": 0})", "lambada_openai")
                .find("expected one text, which is to be the likeliest"),
            std::string::npos);
}

TEST_F(TasksTest, AMissingOrEmptyFileIsNamed) {
  EXPECT_THROW(task_named("mmlu"), std::invalid_argument);
  try {
    read_task(task_named("boolq"), folder_, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(folder_ + "/boolq.jsonl: does not exist"),
              std::string::npos)
        << error.what();
  }
  write("");
  EXPECT_THROW(read_task(task_named("piqa"), folder_, 0), Error);
}

}  // namespace
}  // namespace halftone
