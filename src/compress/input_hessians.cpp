#include "compress/input_hessians.h"

#include "halftone/quant/hessian.h"

namespace halftone {

std::vector<InputGroup> input_groups(const BlockSpec& spec) {
  std::map<int, InputGroup> groups;
  for (const Slot& slot : spec.slots)
    if (!slot.is_norm()) groups[slot.input_group].push_back(slot.role);
  std::vector<InputGroup> out;
  for (auto& [number, roles] : groups) out.push_back(std::move(roles));
  return out;
}

InputHessians record_hessians(Decoder& model, size_t index, const Calibration& calibration,
                              const std::vector<InputGroup>& groups,
                              const std::map<SlotRole, int>& owners, Tensor& outputs) {
  Block& block = model.blocks[index];
  std::map<SlotRole, HessianSum> sums;  // of the first linear of each group
  for (const InputGroup& group : groups)
    sums.emplace(group.front(), HessianSum(block.spec.slot(group.front()).in,
                                           calibration.inputs.device(), calibration.ranks));
  block.observer = [&](const Slot& slot, const Tensor& x) {
    if (const auto sum = sums.find(slot.role); sum != sums.end())
      sum->second.add(x, x.dim(0) / calibration.length);
  };
  outputs = run_block(model, index, calibration, [&] {
    for (auto& [role, sum] : sums) sum.share();
  });
  block.observer = {};
  InputHessians out;
  for (const InputGroup& group : groups) {
    InputGroup own = group;
    std::erase_if(own, [&](SlotRole role) { return owners.at(role) != calibration.ranks.rank(); });
    const Tensor hessian = sums.at(group.front()).hessian(!own.empty());
    for (const SlotRole role : own) out[role] = hessian;
  }
  return out;
}

InputHessians record_hessians(Decoder& model, size_t index, const Calibration& calibration,
                              Tensor& outputs) {
  require(calibration.ranks.alone(), "record_hessians: the calibration of {} ranks",
          calibration.ranks.size());
  const std::vector<InputGroup> groups = input_groups(model.blocks[index].spec);
  std::map<SlotRole, int> owners;
  for (const InputGroup& group : groups)
    for (const SlotRole role : group) owners[role] = 0;
  return record_hessians(model, index, calibration, groups, owners, outputs);
}

}  // namespace halftone
