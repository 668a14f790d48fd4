// Which quantization_config is read, and what a directory that has it has to hold.
#include "compressed_tensors_layout.h"

#include <algorithm>
#include <string_view>

#include "halftone/base/rounding.h"
#include "halftone/io/strict_json.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxConfig = 1 << 20;
constexpr int64_t kMaxGroup = 1 << 20;

// Any key is `read`, or may hold anything, or is null.
void check_keys(const ConfigFields& in, const std::vector<std::string_view>& read,
                const std::vector<std::string_view>& harmless) {
  for (const auto& [key, value] : in.json().items())
    if (!value.is_null() && std::ranges::find(read, key) == read.end() &&
        std::ranges::find(harmless, key) == harmless.end())
      in.fail_unknown(key);
}

void expect(const ConfigFields& in, const char* key, const Json& value) {
  if (!in.has(key) || in.at(key) != value) in.fail(key, value.dump());
}

// Absent, it has this value.
void expect_if_given(const ConfigFields& in, const char* key, const Json& value) {
  if (in.has(key)) expect(in, key, value);
}

ConfigFields object_of(const ConfigFields& in, const char* key) {
  if (!in.has(key)) in.fail(key, "an object");
  return in.object(key);
}

int64_t read_weights(const ConfigFields& in) {
  check_keys(in, {"num_bits", "type", "symmetric", "strategy", "group_size", "dynamic", "actorder"},
             {"observer", "observer_kwargs", "scale_dtype", "zp_dtype"});
  expect(in, "num_bits", 2);
  expect_if_given(in, "type", "int");
  expect_if_given(in, "symmetric", true);
  expect_if_given(in, "dynamic", false);
  expect_if_given(in, "actorder", false);
  if (in.has("strategy") && in.at("strategy") == "channel") {
    if (in.has("group_size")) in.fail("group_size", "null, as strategy is \"channel\"");
    return kWholeRow;
  }
  if (!in.has("strategy") || in.at("strategy") != "group")
    in.fail("strategy", R"("channel" or "group")");
  return in.whole("group_size", 1, kMaxGroup);
}

// Of an object with that key alone: which linears are packed, the tensors say.
int64_t read_groups(const ConfigFields& in) {
  check_keys(in, {"group_0"}, {});
  const ConfigFields scheme = object_of(in, "group_0");
  check_keys(scheme, {"targets", "weights", "format"}, {});
  expect(scheme, "targets", Json::array({"Linear"}));
  expect_if_given(scheme, "format", "pack-quantized");
  return read_weights(object_of(scheme, "weights"));
}

}  // namespace

std::optional<int64_t> code_group(const ConfigFields& config) {
  if (!config.has("quantization_config")) return {};
  const ConfigFields in = object_of(config, "quantization_config");
  expect(in, "quant_method", "compressed-tensors");
  check_keys(in, {"quant_method", "format", "quantization_status", "config_groups"},
             {"ignore", "version", "global_compression_ratio"});
  expect(in, "format", "pack-quantized");
  expect(in, "quantization_status", "compressed");
  return read_groups(object_of(in, "config_groups"));
}

std::optional<int64_t> code_group(const std::string& config_path) {
  const Json object = read_json_file(config_path, kMaxConfig);
  return code_group(ConfigFields(object, config_path));
}

std::vector<HfTensor> code_tensors(const DecoderSpec& spec, int64_t group,
                                   const std::string& path) {
  using namespace compressed_layout;
  std::vector<HfTensor> out = unquantised_tensors(spec);
  const auto add = [&](const std::string& name, Shape shape, std::optional<DType> dtype) {
    out.push_back({{name, "", std::move(shape), ParamRole::scale}, name, dtype});
  };
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots) {
      if (slot.is_norm()) continue;
      const int64_t width = width_of(group, slot.in);
      if (slot.in % width != 0)
        throw_error(ErrorKind::format,
                    "{}: config.json: group_size is {}, expected a divisor of the {} inputs of "
                    "'{}'",
                    path, group, slot.in, slot.hf);
      add(slot.hf + kCodes, {slot.out, divide_up(slot.in, 16)}, DType::i32);
      add(slot.hf + kScale, {slot.out, slot.in / width}, {});
      add(slot.hf + kShape, {2}, DType::i64);
    }
  return out;
}

}  // namespace halftone
