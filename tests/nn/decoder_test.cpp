#include "halftone/nn/decoder.h"

#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "nn/nn_testing.h"

namespace halftone {
namespace {

using testing::largest_difference;
using testing::small_decoder;
using testing::small_spec;

const std::vector<int32_t> kTwoSequences{1, 5, 2, 11, 0, 7, 3, 3, 9, 4, 8, 6};  // six tokens each

Tensor hidden_of(Decoder& model, const std::vector<int32_t>& ids, int64_t batch,
                 KeyValueCache* cache = nullptr) {
  Tape tape(Tape::Mode::no_grad);
  return model.hidden(tape, ids, batch, cache).value();
}

DecoderSpec spec_with_positions() {
  DecoderSpec spec = small_spec();
  spec.positions = LearnedPositions{.names = {"positions", "p"}, .rows = 8, .offset = 2};
  for (BlockSpec& block : spec.blocks) block.rotary.reset();
  return spec;
}

TEST(Decoder, ACacheGivesTheHiddenStatesOfTheWhole) {
  for (const DecoderSpec& spec : {small_spec(), spec_with_positions()}) {
    Decoder model = small_decoder(spec);
    const Tensor whole = hidden_of(model, kTwoSequences, 2);
    KeyValueCache cache = model.make_cache(2, 6);
    for (const auto& [first, count] : {std::pair<size_t, size_t>{0, 3}, {3, 1}, {4, 2}}) {
      std::vector<int32_t> ids;
      for (const size_t sequence : {size_t{0}, size_t{6}})
        for (size_t t = first; t < first + count; ++t) ids.push_back(kTwoSequences[sequence + t]);
      const Tensor part = hidden_of(model, ids, 2, &cache);
      const auto n = static_cast<int64_t>(count), from = static_cast<int64_t>(first);
      for (int64_t s = 0; s < 2; ++s)
        EXPECT_LT(largest_difference(part.rows(s * n, s * n + n),
                                     whole.rows(s * 6 + from, s * 6 + from + n)),
                  1e-5)
            << "token " << first << " of sequence " << s;
    }
    EXPECT_EQ(cache.position, 6);
    EXPECT_ANY_THROW(hidden_of(model, {1, 2}, 2, &cache));  // it is full
  }
}

TEST(Decoder, ACacheOfF16IsCloseToOneOfF32) {
  for (const DecoderSpec& spec : {small_spec(), spec_with_positions()}) {
    Decoder model = small_decoder(spec);
    KeyValueCache wide = model.make_cache(2, 6), half = model.make_cache(2, 6, DType::f16);
    for (const Block& block : model.blocks) {
      const size_t i = static_cast<size_t>(&block - model.blocks.data());
      EXPECT_EQ(half.blocks[i].keys.dtype(), DType::f16);
      EXPECT_EQ(half.blocks[i].keys.bytes(), wide.blocks[i].keys.bytes() / 2);
    }
    double worst = 0;
    for (const auto& [first, count] : {std::pair<size_t, size_t>{0, 3}, {3, 1}, {4, 2}}) {
      std::vector<int32_t> ids;
      for (const size_t sequence : {size_t{0}, size_t{6}})
        for (size_t t = first; t < first + count; ++t) ids.push_back(kTwoSequences[sequence + t]);
      worst = std::max(worst, largest_difference(hidden_of(model, ids, 2, &half),
                                                 hidden_of(model, ids, 2, &wide)));
    }
    EXPECT_LT(worst, 5e-3);
    EXPECT_GT(worst, 0);
    EXPECT_EQ(half.position, 6);
  }
}

TEST(Decoder, ATokenSeesThoseBeforeItInItsSequenceAlone) {
  Decoder model = small_decoder();
  std::vector<int32_t> ids = kTwoSequences;
  const Tensor before = hidden_of(model, ids, 2);
  ids[4] = 10;
  const Tensor after = hidden_of(model, ids, 2);
  EXPECT_EQ(largest_difference(before.rows(0, 4), after.rows(0, 4)), 0);
  EXPECT_GT(largest_difference(before.rows(4, 5), after.rows(4, 5)), 1e-3);
  EXPECT_GT(largest_difference(before.rows(5, 6), after.rows(5, 6)), 1e-4);
  EXPECT_EQ(largest_difference(before.rows(6, 12), after.rows(6, 12)), 0);
}

TEST(Decoder, LogitsAreProductsWithTheHeadOrTheTiedEmbedding) {
  DecoderSpec untied = small_spec();
  untied.head = OuterNames{"head", "h"};
  for (const DecoderSpec& spec : {small_spec(), untied}) {
    Decoder model = small_decoder(spec);
    const Tensor hidden = hidden_of(model, kTwoSequences, 2), logits = model.logits(hidden);
    const Tensor& weight = (spec.head ? model.head : model.embedding).value;
    ASSERT_EQ(logits.shape(), (Shape{12, 12}));
    for (int64_t i = 0; i < 12; ++i)
      for (int64_t v = 0; v < 12; ++v) {
        double sum = 0;
        for (int64_t c = 0; c < 8; ++c)
          sum += static_cast<double>(hidden.data<float>()[i * 8 + c]) *
                 std::as_const(weight).data<float>()[v * 8 + c];
        EXPECT_NEAR(logits.data<float>()[i * 12 + v], sum, 1e-5);
      }
    Tape tape(Tape::Mode::no_grad);
    EXPECT_EQ(model.head_weight(tape).value().raw(), std::as_const(weight).raw());
  }
}

TEST(Decoder, ParametersAreVisitedFromTheTokensToTheHead) {
  DecoderSpec spec = spec_with_positions();
  spec.embedding_size = 6;
  spec.projections = Projections{{"in", "i"}, {"out", "o"}};
  spec.head = OuterNames{"head", "h"};
  Decoder model = small_decoder(spec);
  std::string names;
  model.visit([&](Param& param) { names += param.name.substr(0, param.name.rfind('.')) + " "; });
  EXPECT_EQ(names,
            "embed positions in 0.an 0.q 0.k 0.v 0.o 0.mn 0.gate 0.up 0.down "
            "1.an 1.q 1.k 1.v 1.o 1.mn 1.gate 1.up 1.down norm out head ");
  Tape tape(Tape::Mode::no_grad);
  EXPECT_EQ(model.hidden(tape, {1, 2}, 1).shape(), (Shape{2, 6}));  // of the embedding's width
}

TEST(Decoder, LinearsAreVisitedInOrderAndMayBeReplaced) {
  Decoder model = small_decoder();
  const Tensor before = hidden_of(model, kTwoSequences, 2);
  std::string names;
  model.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    names += linear->name + " ";
    const Tensor zeros = Tensor::zeros(linear->dense_weight().shape(), DType::f32);
    linear = std::make_unique<Linear>(linear->name, zeros);
  });
  EXPECT_EQ(names, "0.q 0.k 0.v 0.o 0.gate 0.up 0.down 1.q 1.k 1.v 1.o 1.gate 1.up 1.down ");
  // Blocks of zeros leave the embeddings to the final norm.
  Tape tape(Tape::Mode::no_grad);
  const Tensor bare = model.normalise(tape, model.embed(tape, kTwoSequences, 2)).value();
  EXPECT_EQ(largest_difference(hidden_of(model, kTwoSequences, 2), bare), 0);
  EXPECT_GT(largest_difference(before, bare), 1e-3);
}

TEST(Decoder, AnObserverSeesTheInputOfEachLinear) {
  Decoder model = small_decoder();
  std::map<SlotRole, Tensor> seen;
  model.blocks[1].observer = [&](const Slot& slot, const Tensor& x) { seen[slot.role] = x; };
  hidden_of(model, kTwoSequences, 2);
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(std::as_const(seen.at(SlotRole::q)).raw(), std::as_const(seen.at(SlotRole::v)).raw());
  EXPECT_EQ(seen.at(SlotRole::down).shape(), (Shape{12, 10}));
}

TEST(Decoder, MoreTokensThanLearnedPositionsAreRefusedWithBothFigures) {
  Decoder model = small_decoder(spec_with_positions());
  EXPECT_EQ(model.spec.longest_context(), 6);
  EXPECT_NO_THROW(model.make_cache(1, 6));
  EXPECT_THROW(model.make_cache(1, 7), Error);
  EXPECT_THROW(hidden_of(model, std::vector<int32_t>(7, 1), 1), Error);
  try {
    check_context(model.spec, 7, "eval.context");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::recipe);
    EXPECT_EQ(std::string(error.what()).find("eval.context is 7 tokens, expected at most 6"), 0u);
  }
  EXPECT_FALSE(small_spec().longest_context());
  EXPECT_NO_THROW(check_context(small_spec(), 1 << 30, "eval.context"));
}

TEST(Decoder, EmbeddingsAreScaled) {
  DecoderSpec spec = small_spec();
  spec.embedding_scale = 3;
  Decoder plain = small_decoder(), scaled = small_decoder(spec);
  Tape tape(Tape::Mode::no_grad);
  Tensor expected = plain.embed(tape, {4, 7}, 1).value().clone();
  scale(expected, 3, expected);
  EXPECT_EQ(largest_difference(scaled.embed(tape, {4, 7}, 1).value(), expected), 0);
}

}  // namespace
}  // namespace halftone
