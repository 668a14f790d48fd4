#include "halftone/eval/task_scores.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "halftone/base/error.h"
#include "halftone/ops/embedding.h"
#include "halftone/ops/sample.h"
#include "halftone/ops/token_scores.h"
#include "text/utf8.h"

namespace halftone {
namespace {

constexpr int64_t kBatchTokens = 2048;
constexpr int64_t kChunk = 512;  // tokens whose logits exist at a time

// White space behind the context belongs to the continuation.
TaskRequest moved_space(TaskRequest r) {
  size_t end = r.context.size();
  while (end > 0) {
    const size_t space = space_before(r.context, end);
    if (space == 0) break;
    end -= space;
  }
  r.continuation.insert(0, r.context, end);
  r.context.resize(end);
  return r;
}

// Both texts as ids, and how many of them are the context's.
struct Encoded {
  std::vector<int32_t> ids;
  size_t context = 0;
};

Encoded encode(const TaskRequest& given, const Tokenizer& tokenizer, std::optional<int32_t> bos) {
  const EncodeOptions plain{.add_special_tokens = false};
  const TaskRequest request = moved_space(given);
  Encoded out{tokenizer.encode(request.context + request.continuation, plain),
              tokenizer.encode(request.context, plain).size()};
  const std::optional<int32_t> front = bos || out.context > 0 ? bos : tokenizer.eos();
  if (front) {
    out.ids.insert(out.ids.begin(), *front);
    ++out.context;
  }
  return out;
}

void add_request(const TaskRequest& request, size_t document, size_t choice,
                 const TaskDocuments& task, const Tokenizer& tokenizer, std::optional<int32_t> bos,
                 int64_t most, TaskTokens& out) {
  const Encoded encoded = encode(request, tokenizer, bos);
  const auto all = static_cast<int64_t>(encoded.ids.size());
  const int64_t scored = all - static_cast<int64_t>(encoded.context);
  const int64_t first = std::max<int64_t>(0, all - (most + 1));  // what the model reads
  if (encoded.context == 0 || scored < 1 || scored > most)
    throw_error(ErrorKind::format,
                "{}: document {}, choice {}: {} tokens behind {} of the context, 1 to {} behind at "
                "least 1 expected",
                task.task->name, document + 1, choice + 1, scored, encoded.context, most);
  const auto at = [&](int64_t i) { return encoded.ids.begin() + i; };
  TaskTarget target{.document = document,
                    .choice = choice,
                    .first = all - scored - 1 - first,
                    .next = {at(all - scored), at(all)}};
  std::vector<int32_t> ids(at(first), at(all - 1));
  // Choices of one token are read once.
  if (choice > 0 && out.sequences.back().ids == ids)
    out.sequences.back().targets.push_back(std::move(target));
  else
    out.sequences.push_back({std::move(ids), {std::move(target)}});
}

// One prediction of a batch: its row of the hidden states, the token that follows, whose it is.
struct Prediction {
  int32_t row, next;
  ChoiceScore* score;
};

// scores += those of predictions that follow one another in the rows of logits.
void add_scores(Tensor& logits, const std::vector<Prediction>& all, size_t from, size_t to) {
  const std::vector<int32_t> likeliest =
      sample_tokens(logits, {}, std::vector<SampleDraw>(to - from));
  for (size_t begin = from, end = from; begin < to; begin = end) {
    std::vector<int32_t> next;
    ChoiceScore& score = *all[begin].score;
    for (; end < to && all[end].score == &score; ++end) {
      next.push_back(all[end].next);
      score.greedy = score.greedy && likeliest[end - from] == all[end].next;
    }
    TokenScores sums;
    const auto rows = static_cast<int64_t>(end - begin), at = static_cast<int64_t>(begin - from);
    add_token_scores(logits.rows(at, at + rows), {}, Tensor::of({rows}, next), sums);
    score.log_probability -= sums.nll;
    score.greedy = score.greedy && !std::isnan(sums.nll);
  }
}

void score_batch(Decoder& model, std::span<const TaskSequence* const> batch, TaskScores& scores) {
  const size_t length = batch[0]->ids.size();
  std::vector<int32_t> ids;
  std::vector<Prediction> all;
  for (const TaskSequence* sequence : batch) {
    for (const TaskTarget& target : sequence->targets) {
      auto row = static_cast<int32_t>(static_cast<int64_t>(ids.size()) + target.first);
      for (const int32_t next : target.next)
        all.push_back({row++, next, &scores[target.document][target.choice]});
    }
    ids.insert(ids.end(), sequence->ids.begin(), sequence->ids.end());
    ids.resize((ids.size() + length - 1) / length * length);  // nothing looks ahead
  }
  Tape tape(Tape::Mode::no_grad);
  const Var states = model.hidden(tape, ids, static_cast<int64_t>(batch.size()));
  for (size_t from = 0; from < all.size(); from += kChunk) {
    const size_t to = std::min<size_t>(from + kChunk, all.size());
    std::vector<int32_t> rows;
    for (size_t i = from; i < to; ++i) rows.push_back(all[i].row);
    Tensor logits = model.logits(embedding(rows, states).value());
    add_scores(logits, all, from, to);
  }
}

std::vector<const TaskSequence*> longest_first(const TaskTokens& tokens) {
  std::vector<const TaskSequence*> order;
  for (const TaskSequence& sequence : tokens.sequences) order.push_back(&sequence);
  std::ranges::stable_sort(order, std::greater<>(),
                           [](const TaskSequence* s) { return s->ids.size(); });
  return order;
}

// Where the batches begin, and the end.
std::vector<size_t> batch_bounds(const std::vector<const TaskSequence*>& order) {
  std::vector<size_t> bounds{0};
  while (bounds.back() < order.size()) {
    const auto longest = static_cast<int64_t>(order[bounds.back()]->ids.size());
    const auto count = static_cast<size_t>(std::max<int64_t>(kBatchTokens / longest, 1));
    bounds.push_back(std::min(bounds.back() + count, order.size()));
  }
  return bounds;
}

// A choice is scored by one rank; with the others it is as at first.
void add_other_ranks(const Ranks& ranks, TaskScores& scores) {
  if (ranks.alone()) return;
  std::vector<double> own;
  for (const std::vector<ChoiceScore>& document : scores)
    for (const ChoiceScore& s : document)
      own.insert(own.end(), {s.log_probability, s.greedy ? 1.0 : 0.0});
  const std::vector<std::vector<double>> all = ranks.gather(own);
  size_t at = 0;
  for (std::vector<ChoiceScore>& document : scores)
    for (ChoiceScore& s : document) {
      s = {};
      for (const std::vector<double>& of_rank : all) {
        s.log_probability += of_rank.at(at);
        s.greedy = s.greedy && of_rank.at(at + 1) != 0;
      }
      at += 2;
    }
}

}  // namespace

TaskTokens task_tokens(const TaskDocuments& task, const Tokenizer& tokenizer,
                       std::optional<int32_t> bos, int64_t most) {
  TaskTokens out;
  for (size_t d = 0; d < task.documents.size(); ++d) {
    const std::vector<TaskRequest>& requests = task.documents[d].requests;
    for (size_t c = 0; c < requests.size(); ++c)
      add_request(requests[c], d, c, task, tokenizer, bos, most, out);
    out.choices.push_back(requests.size());
  }
  return out;
}

TaskScores score_task(Decoder& model, const TaskTokens& tokens, const TaskProgress& progress,
                      const Ranks& ranks) {
  TaskScores scores;
  for (const size_t choices : tokens.choices) scores.emplace_back(choices);
  const std::vector<const TaskSequence*> order = longest_first(tokens);
  const std::vector<size_t> bounds = batch_bounds(order);
  const size_t batches = bounds.size() - 1, together = static_cast<size_t>(ranks.size());
  for (size_t k = 0; k < batches; k += together) {
    if (const size_t mine = k + static_cast<size_t>(ranks.rank()); mine < batches)
      score_batch(model, std::span(order).subspan(bounds[mine], bounds[mine + 1] - bounds[mine]),
                  scores);
    const size_t done = bounds[std::min(k + together, batches)];
    if (progress) progress(static_cast<int64_t>(done), static_cast<int64_t>(order.size()));
  }
  add_other_ranks(ranks, scores);
  return scores;
}

}  // namespace halftone
