#include "compress/quantised.h"

#include <nlohmann/json.hpp>

#include "halftone/tensor/exchange.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr int kTag = 3;

// What a matrix is but for its numbers.
Json outline(const LowBitMatrix& matrix) {
  Json parts = Json::object();
  for (const auto& [name, part] : matrix.parts)
    parts[name] = {static_cast<int>(part.dtype()), part.shape()};
  return {layout_text(matrix.layout), parts};
}

LowBitMatrix of_outline(const Json& outline, const Slot& slot) {
  LowBitMatrix out{parse_layout(outline[0]), slot.out, slot.in, {}};
  for (const auto& [name, part] : outline[1].items()) {
    const auto dims = part[1].get<std::vector<int64_t>>();
    out.parts[name] = Tensor::uninitialized(Shape(dims.begin(), dims.end()),
                                            static_cast<DType>(part[0].get<int>()));
  }
  return out;
}

// Of each rank those of its linears, in the order of their roles.
std::vector<std::vector<Json>> outlines_of_ranks(const std::map<SlotRole, Quantised>& own,
                                                 const Ranks& ranks) {
  Json outlines = Json::array();
  for (const auto& [role, one] : own) outlines.push_back(outline(one.linear->code));
  std::vector<std::vector<Json>> out;
  for (const std::string& text : ranks.gather(outlines.dump())) out.push_back(Json::parse(text));
  return out;
}

// One of another rank.
struct Arriving {
  LowBitMatrix matrix;
  Tensor error = Tensor::scalar(0, DType::f64);
};

// What is sent of one, in this order.
std::vector<Tensor> tensors_of(const LowBitMatrix& matrix, const Tensor& error) {
  std::vector<Tensor> out{error};
  for (const auto& [name, part] : matrix.parts) out.push_back(part);
  return out;
}

}  // namespace

std::map<SlotRole, Quantised> of_all_ranks(std::map<SlotRole, Quantised> own,
                                           const std::map<SlotRole, int>& owners,
                                           const Block& block, const Ranks& ranks) {
  if (ranks.alone()) return own;
  std::vector<std::vector<Json>> outlines = outlines_of_ranks(own, ranks);
  std::map<SlotRole, Arriving> others;
  std::vector<Parcel> sent, received;
  for (const auto& [role, owner] : owners) {
    std::vector<Json>& next = outlines[static_cast<size_t>(owner)];
    if (owner == ranks.rank()) {
      const auto& [linear, error] = own.at(role);
      for (const Tensor& tensor : tensors_of(linear->code, Tensor::scalar(error, DType::f64)))
        for (int i = 1; i < ranks.size(); ++i) sent.push_back({(owner + i) % ranks.size(), tensor});
      continue;
    }
    const Arriving& one = others[role] = {of_outline(next.front(), block.spec.slot(role))};
    next.erase(next.begin());
    for (const Tensor& tensor : tensors_of(one.matrix, one.error))
      received.push_back({owner, tensor});
  }
  Exchange(ranks, Device::cpu).start(kTag, std::move(sent), std::move(received))->wait();
  for (auto& [role, one] : others) {
    const LinearLike& linear = *block.linears.at(role);
    own[role] = {
        std::make_unique<LowBitLinear>(linear.name, std::move(one.matrix), linear.bias.value),
        one.error.item()};
  }
  return own;
}

void take_norms_of_first(Block& block, const Ranks& ranks) {
  std::vector<Parcel> sent, received;
  for (auto& [role, norm] : block.norms)
    norm.visit([&](Param& param) {
      if (!ranks.first()) return received.push_back({0, param.value});
      for (int rank = 1; rank < ranks.size(); ++rank) sent.push_back({rank, param.value});
    });
  if (!ranks.alone())
    Exchange(ranks, Device::cpu).start(kTag, std::move(sent), std::move(received))->wait();
}

}  // namespace halftone
