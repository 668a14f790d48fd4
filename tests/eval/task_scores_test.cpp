#include "halftone/eval/task_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/model/load.h"

namespace halftone {
namespace {

constexpr const char* kTeacher = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher";

TaskDocuments documents() {
  TaskDocuments out{.task = &task_named("arc_easy")};
  out.documents = {
      {{{"Once upon a time there was a little girl. She", " was happy."},
        {"Once upon a time there was a little girl. She", " purple of the very big and red car."},
        {"Once upon a time there was a little girl. She", " had a dog."}},
       0},
      {{{"The dog ran to the", " tree"}, {"The dog ran to the", " car"}}, 1},
      // White space behind the context goes to the continuation.
      {{{"Tom was sad. \n", "His mom gave him a hug."}, {"Tom was sad.", " \nNo."}}, 0},
      // The last token of the context alone is another one in the whole.
      {{{"Tom lik", "ed it."}, {"Tom lik", "es."}}, 0},
  };
  return out;
}

// One forward pass a choice over its own tokens alone, and a plain softmax.
ChoiceScore plain_score(Decoder& decoder, const std::vector<int32_t>& whole, size_t context) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor logits = decoder.logits(decoder.hidden(tape, whole, 1).value());
  ChoiceScore out;
  for (size_t i = context; i < whole.size(); ++i) {
    const float* row = logits.data<float>() + static_cast<int64_t>(i - 1) * logits.dim(1);
    double total = 0;
    for (int64_t v = 0; v < logits.dim(1); ++v) total += std::exp(static_cast<double>(row[v]));
    out.log_probability += static_cast<double>(row[whole[i]]) - std::log(total);
    out.greedy = out.greedy && std::max_element(row, row + logits.dim(1)) - row == whole[i];
  }
  return out;
}

class TaskScoresTest : public ::testing::Test {
 protected:
  std::vector<int32_t> ids(const std::string& text) const {
    return tokenizer_->encode(text, {.add_special_tokens = false});
  }
  TaskTokens tokens(const TaskDocuments& task, std::optional<int32_t> bos = {},
                    int64_t most = 256) const {
    return task_tokens(task, *tokenizer_, bos, most);
  }
  // `continuation` is what the sequence is to end in, whatever the request calls it.
  ChoiceScore plain(const std::string& context, const std::string& continuation,
                    std::optional<int32_t> bos = {}) {
    std::vector<int32_t> whole = ids(context + continuation);
    size_t given = ids(context).size();
    if (bos) whole.insert(whole.begin(), *bos), ++given;
    return plain_score(model_.decoder, whole, given);
  }
  std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(kTeacher);
  LoadedModel model_ = load_model(kTeacher, {.widen = true});
};

void expect_near(const ChoiceScore& found, const ChoiceScore& wanted) {
  EXPECT_NEAR(found.log_probability, wanted.log_probability, 2e-5);
  EXPECT_EQ(found.greedy, wanted.greedy);
}

TEST_F(TaskScoresTest, AreThoseOfEachChoiceReadAlone) {
  const TaskDocuments task = documents();
  const TaskScores scores = score_task(model_.decoder, tokens(task));
  ASSERT_EQ(scores.size(), task.documents.size());
  for (size_t d = 0; d < scores.size(); ++d) {
    ASSERT_EQ(scores[d].size(), task.documents[d].requests.size());
    for (size_t c = 0; c < scores[d].size(); ++c) {
      SCOPED_TRACE(fmt::format("document {}, choice {}", d, c));
      const TaskRequest& r = task.documents[d].requests[c];
      expect_near(scores[d][c], d == 2 && c == 0 ? plain("Tom was sad.", " \n" + r.continuation)
                                                 : plain(r.context, r.continuation));
    }
  }
}

TEST_F(TaskScoresTest, ContextAndContinuationAreEncodedAsOneText) {
  // Else the test above says nothing of it.
  const std::vector<int32_t> context = ids("Tom lik"), whole = ids("Tom liked it.");
  EXPECT_FALSE(std::equal(context.begin(), context.end(), whole.begin()));
  const TaskTokens all = tokens(documents());
  const TaskTarget& target = all.sequences[all.sequences.size() - 2].targets[0];
  EXPECT_EQ(target.next,
            std::vector<int32_t>(whole.begin() + static_cast<std::ptrdiff_t>(context.size()),
                                 whole.end()));
}

TEST_F(TaskScoresTest, GreedyIsAContinuationWhoseEveryTokenIsTheLikeliest) {
  std::vector<int32_t> text = ids("Once upon a time, there was a");
  const size_t context = text.size();
  KeyValueCache cache = model_.decoder.make_cache(1, 64);
  std::vector<int32_t> next = text;
  for (int i = 0; i < 4; ++i) {
    Tensor logits = model_.decoder.next_logits(next, 1, cache);
    const float* row = logits.data<float>();
    next = {static_cast<int32_t>(std::max_element(row, row + logits.dim(1)) - row)};
    text.push_back(next[0]);
  }
  const std::string likeliest = tokenizer_->decode(std::span(text).subspan(context));
  ASSERT_EQ(ids("Once upon a time, there was a" + likeliest), text);
  TaskDocuments task{.task = &task_named("lambada_openai")};
  task.documents = {{{{"Once upon a time, there was a", likeliest}}, 0},
                    {{{"Once upon a time, there was a", likeliest + " purple"}}, 0}};
  const TaskScores scores = score_task(model_.decoder, tokens(task));
  EXPECT_TRUE(scores[0][0].greedy);
  EXPECT_FALSE(scores[1][0].greedy);
}

TEST_F(TaskScoresTest, ChoicesOfOneTokenAreReadOnce) {
  const TaskTokens all = tokens(documents());
  size_t of_second = 0;
  for (const TaskSequence& sequence : all.sequences)
    if (sequence.targets[0].document == 1) {
      ++of_second;
      EXPECT_EQ(sequence.targets.size(), 2u);
    }
  EXPECT_EQ(of_second, 1u);
}

TEST_F(TaskScoresTest, ABosStandsInFrontOfEachContext) {
  const TaskDocuments task = documents();
  const TaskScores scores = score_task(model_.decoder, tokens(task, 5));
  expect_near(scores[0][1], plain(task.documents[0].requests[1].context,
                                  task.documents[0].requests[1].continuation, 5));
}

TEST_F(TaskScoresTest, AContextWithoutTokensIsTheEndToken) {
  TaskDocuments task{.task = &task_named("piqa")};
  task.documents = {{{{"", " A cat."}, {" ", "A dog."}}, 0}};
  const TaskScores scores = score_task(model_.decoder, tokens(task));
  expect_near(scores[0][0], plain("", " A cat.", *tokenizer_->eos()));
  expect_near(scores[0][1], plain("", " A dog.", *tokenizer_->eos()));
}

TEST_F(TaskScoresTest, OfWhatIsTooLongTheModelReadsTheEnd) {
  TaskDocuments task{.task = &task_named("piqa")};
  const std::string context = "Once upon a time there was a little girl. She";
  task.documents = {{{{context, " was happy."}, {context, " ran."}}, 0}};
  std::vector<int32_t> whole = ids(context + " was happy.");
  const size_t continuation = whole.size() - ids(context).size();
  constexpr size_t kMost = 6;
  const TaskScores scores = score_task(model_.decoder, tokens(task, {}, kMost));
  whole.erase(whole.begin(), whole.end() - (kMost + 1));
  expect_near(scores[0][0], plain_score(model_.decoder, whole, whole.size() - continuation));
  // A continuation that does not fit in is an error.
  try {
    tokens(task, {}, static_cast<int64_t>(continuation) - 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::format);
    EXPECT_EQ(std::string(error.what()).find("piqa: document 1, choice 1: "), 0u) << error.what();
  }
}

TEST_F(TaskScoresTest, MoreThanABatchIsScoredAsEachDocumentAlone) {
  TaskDocuments task = documents(), many = task;
  for (int i = 0; i < 14; ++i)
    many.documents.insert(many.documents.end(), task.documents.begin(), task.documents.end());
  int64_t done = 0, of = 0;
  const TaskScores scores =
      score_task(model_.decoder, tokens(many), [&](int64_t now, int64_t total) {
        EXPECT_GT(now, done);
        done = now;
        of = total;
      });
  EXPECT_EQ(done, of);
  const TaskScores few = score_task(model_.decoder, tokens(task));
  for (size_t d = 0; d < scores.size(); ++d)
    for (size_t c = 0; c < scores[d].size(); ++c) expect_near(scores[d][c], few[d % few.size()][c]);
}

}  // namespace
}  // namespace halftone
