#include "halftone/compress/calibration.h"

#include <algorithm>

#include "halftone/base/rounding.h"
#include "halftone/tensor/exchange.h"

namespace halftone {
namespace {

// Of a part. A GPU is not busy with less.
int64_t tokens_at_once(Device device) {
  return device == Device::cuda ? 16384 : 2048;
}
constexpr int kTag = 2;

int64_t part_tokens(const Calibration& c) {
  return std::max<int64_t>(1, tokens_at_once(c.inputs.device()) / c.length) * c.length;
}

// That one rank has.
int64_t most_parts(const Calibration& c) {
  return divide_up(divide_up(c.sequences * c.length, part_tokens(c)), c.ranks.size());
}

// Tokens of one part, in the whole and among those of its rank.
struct Part {
  int rank = 0;
  int64_t begin = 0, own_begin = 0, tokens = 0;

  Tensor of_whole(const Tensor& whole) const { return whole.rows(begin, begin + tokens); }
  Tensor of_own(const Tensor& own) const { return own.rows(own_begin, own_begin + tokens); }
};

std::vector<Part> parts_of(const Calibration& c) {
  std::vector<Part> out;
  const int64_t all = c.sequences * c.length, tokens = part_tokens(c);
  for (int64_t begin = 0; begin < all; begin += tokens) {
    const auto number = static_cast<int64_t>(out.size()), ranks = int64_t{c.ranks.size()};
    out.push_back({.rank = static_cast<int>(number % ranks),
                   .begin = begin,
                   .own_begin = number / ranks * tokens,
                   .tokens = std::min(tokens, all - begin)});
  }
  return out;
}

std::vector<Part> own_parts(const Calibration& c) {
  std::vector<Part> out = parts_of(c);
  std::erase_if(out, [&](const Part& part) { return part.rank != c.ranks.rank(); });
  return out;
}

int64_t tokens_of(const std::vector<Part>& parts) {
  return parts.empty() ? 0 : parts.back().own_begin + parts.back().tokens;
}

// A block's parameters while it runs where the calibration lies; quantised they are on the CPU.
class BlockOnDevice {
 public:
  BlockOnDevice(Block& block, Device device) : block_(block), device_(device) {
    if (device_ != Device::cpu) block_.move_to(device_);
  }
  ~BlockOnDevice() {
    if (device_ != Device::cpu) block_.move_to(Device::cpu);
  }

 private:
  Block& block_;
  Device device_;
};

}  // namespace

Tensor Calibration::own(const Tensor& whole) const {
  if (ranks.alone()) return whole.to(inputs.device());
  Tensor out = inputs.like();
  for (const Part& part : own_parts(*this)) part.of_own(out).copy_from(part.of_whole(whole));
  return out;
}

Tensor Calibration::whole(const Tensor& own) const {
  const Tensor here = own.to(Device::cpu);
  if (ranks.alone()) return here;
  Tensor out;
  if (ranks.first()) out = Tensor::uninitialized({sequences * length, own.dim(1)}, own.dtype());
  std::vector<Parcel> sent, received;
  for (const Part& part : parts_of(*this)) {
    if (ranks.first() && part.rank == 0)
      part.of_whole(out).copy_from(part.of_own(here));
    else if (ranks.first())
      received.push_back({part.rank, part.of_whole(out)});
    else if (part.rank == ranks.rank())
      sent.push_back({0, part.of_own(here)});
  }
  Exchange(ranks, Device::cpu).start(kTag, std::move(sent), std::move(received))->wait();
  return out;
}

Calibration start_calibration(Decoder& model, const std::vector<int32_t>& tokens, int64_t sequences,
                              Device device, const Ranks& ranks) {
  require(sequences > 0 && tokens.size() % static_cast<size_t>(sequences) == 0,
          "start_calibration: {} tokens of {} sequences", tokens.size(), sequences);
  const int64_t width = model.spec.hidden_size;
  Calibration out{.inputs = Tensor::uninitialized({0, width}, DType::f32, device),
                  .sequences = sequences,
                  .length = static_cast<int64_t>(tokens.size()) / sequences,
                  .ranks = ranks};
  const std::vector<Part> parts = own_parts(out);
  out.inputs = Tensor::uninitialized({tokens_of(parts), width}, DType::f32, device);
  for (const Part& part : parts) {
    const auto first = tokens.begin() + part.begin;
    Tape tape(Tape::Mode::no_grad);
    const Var x = model.embed(tape, {first, first + part.tokens}, part.tokens / out.length);
    part.of_own(out.inputs).copy_from(x.value().to(DType::f32));
  }
  return out;
}

Tensor run_block(Decoder& model, size_t index, const Calibration& calibration,
                 const std::function<void()>& after_part) {
  const std::vector<Part> parts = own_parts(calibration);
  const Tensor& inputs = calibration.inputs;
  Tensor out = inputs.like();
  BlockOnDevice there(model.blocks[index], inputs.device());
  for (size_t i = 0; i < static_cast<size_t>(most_parts(calibration)); ++i) {
    if (i < parts.size()) {
      Tape tape(Tape::Mode::no_grad);
      const Var x = tape.constant(parts[i].of_own(inputs));
      const int64_t sequences = parts[i].tokens / calibration.length;
      parts[i].of_own(out).copy_from(model.block(tape, index, x, sequences).value());
    }
    if (after_part) after_part();
  }
  return out;
}

}  // namespace halftone
