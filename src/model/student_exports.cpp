// Which format holds which student, and why another does not.
#include "halftone/model/student_exports.h"

#include <set>

#include "halftone/model/export_gguf.h"
#include "halftone/model/spec.h"
#include "halftone/nn/linear.h"

namespace halftone {
namespace {

// The linears of the blocks.
std::vector<Slot> linears_of(const DecoderSpec& spec) {
  std::vector<Slot> out;
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots)
      if (!slot.is_norm()) out.push_back(slot);
  return out;
}

// Of types from the smallest on, as "Q1_0 (1.125 bits a weight), F16".
std::string types_text(const DecoderSpec& spec, const StudentSettings& student) {
  std::set<double> bits;
  std::string out;
  for (const Slot& slot : linears_of(spec)) {
    const GgmlType* type =
        student.group_scaled()
            ? gguf_sign_type(slot.in, student.scale_group ? student.scale_group : slot.in)
            : nullptr;
    const double each = type ? type->bits() : 16;
    if (!bits.insert(each).second) continue;
    out += fmt::format("{}{} ({:.7g} bits a weight)", out.empty() ? "" : ", ",
                       type ? type->name : "F16", each);
  }
  return out;
}

ExportVerdict gguf(const DecoderSpec& spec, const StudentSettings& student) {
  if (spec.embedding.gguf.empty()) return {"gguf", false, "llama.cpp does not know this family"};
  if (student.post_layer_norm)
    return {"gguf", false, fmt::format("each 1-bit linear {}", kNoDenseWeight)};
  std::string linears = "linears as " + types_text(spec, student);
  if (!student.group_scaled())
    linears +=
        ": in_scale leaves no two weights of a row one magnitude; student.foldable and "
        "student.scale_group leave blocks of one";
  return {"gguf", true, linears};
}

ExportVerdict onebit(const ModelConfig& config, const DecoderSpec& spec,
                     const StudentSettings& student) {
  if (config.architecture != "llama")
    return {"onebit", false,
            fmt::format("the released layout is a llama's, this model is of the family {}",
                        config.architecture)};
  if (student.group_scaled() || !student.post_layer_norm)
    return {"onebit", false,
            "the released layer has in_scale, out_scale and student.post_layer_norm = true"};
  for (const Slot& slot : linears_of(spec))
    if (slot.in % 8 != 0)
      return {"onebit", false,
              fmt::format("'{}' has {} inputs, a multiple of 8 expected", slot.hf, slot.in)};
  return {"onebit", true, ""};
}

ExportVerdict compressed_tensors(const StudentSettings& student) {
  if (student.post_layer_norm)
    return {"compressed-tensors", false, fmt::format("each 1-bit linear {}", kNoDenseWeight)};
  if (!student.group_scaled())
    return {"compressed-tensors", false,
            "it has no place for in_scale; set student.foldable or student.scale_group"};
  return {"compressed-tensors", true,
          student.scale_group ? fmt::format("2 bits, a scale for {} inputs", student.scale_group)
                              : "2 bits, a scale a row"};
}

}  // namespace

std::vector<ExportVerdict> student_exports(const ModelConfig& config,
                                           const StudentSettings& student) {
  const DecoderSpec spec = decoder_spec(config);
  ExportVerdict hf{"hf", !student.post_layer_norm, ""};
  if (!hf.possible) hf.detail = fmt::format("each 1-bit linear {}", kNoDenseWeight);
  return {hf,
          gguf(spec, student),
          onebit(config, spec, student),
          {"packed", true, ""},
          compressed_tensors(student)};
}

const GgmlType* gguf_sign_type(int64_t width, int64_t group) {
  for (const GgmlType* type : gguf_linear_types())
    if (type->quantize_exactly && width % type->block == 0 && group % type->block == 0) return type;
  return nullptr;
}

}  // namespace halftone
