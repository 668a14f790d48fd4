#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "halftone/io/strict_json.h"
#include "safetensors_layout.h"

namespace halftone {
namespace {

constexpr uint64_t kMaxIndex = 16u << 20;

using Json = nlohmann::json;

// A file of the index's own directory: a name that leads anywhere else is refused.
void check_shard_name(const std::string& index_path, const std::string& name) {
  const auto harmless = [](unsigned char c) {
    return c >= ' ' && c != '/' && c != '\\' && c != 127;
  };
  const bool plain = !name.empty() && name.size() <= 255 && name.front() != '.' &&
                     std::ranges::all_of(name, harmless);
  if (!plain)
    throw_error(ErrorKind::format, "{}: shard '{}' is not a plain file name", index_path,
                printable(name));
}

std::map<std::string, std::string> read_weight_map(const Json& index, const std::string& path) {
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    throw_error(ErrorKind::format, "{}: has no object 'weight_map'", path);
  std::map<std::string, std::string> map;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string())
      throw_error(ErrorKind::format, "{}: weight_map['{}'] is {}, expected a file name", path,
                  printable(tensor), printable(shard.dump()));
    check_shard_name(path, shard.get<std::string>());
    map[tensor] = shard.get<std::string>();
  }
  return map;
}

void check_total_size(const Json& index, const std::vector<SafetensorsLayout>& shards,
                      const std::string& path) {
  if (!index.contains("metadata") || !index["metadata"].is_object() ||
      !index["metadata"].contains("total_size"))
    return;
  const Json& total = index["metadata"]["total_size"];
  uint64_t sum = 0;
  for (const SafetensorsLayout& shard : shards)
    for (const SafetensorsLayout::Entry& entry : shard.entries)
      sum = checked_add(sum, entry.bytes, path + ": total_size");
  // Some writers give the number as a float.
  const bool equal = total.is_number() &&
                     (total.is_number_float() ? total.get<double>() == static_cast<double>(sum)
                                              : total == Json(sum));
  if (!equal)
    throw_error(ErrorKind::format, "{}: metadata.total_size is {}, the tensors hold {} bytes", path,
                printable(total.dump()), sum);
}

}  // namespace

std::vector<SafetensorsLayout> read_sharded_layouts(const std::string& index_path) {
  const Json index = read_json_file(index_path, kMaxIndex, 8);
  const auto weight_map = read_weight_map(index, index_path);
  std::set<std::string> shards, found;
  for (const auto& [tensor, shard] : weight_map) shards.insert(shard);
  const size_t slash = index_path.rfind('/');
  const std::string directory = slash == index_path.npos ? "" : index_path.substr(0, slash + 1);

  std::vector<SafetensorsLayout> out;
  for (const std::string& shard : shards) {
    out.push_back(read_safetensors_layout(directory + shard));
    for (const SafetensorsLayout::Entry& entry : out.back().entries) {
      const auto listed = weight_map.find(entry.name);
      if (listed == weight_map.end() || listed->second != shard)
        throw_error(ErrorKind::format, "{}: holds tensor '{}', which the index {}",
                    directory + shard, printable(entry.name),
                    listed == weight_map.end()
                        ? "does not list"
                        : fmt::format("puts into '{}'", printable(listed->second)));
      found.insert(entry.name);
    }
  }
  for (const auto& [tensor, shard] : weight_map)
    if (!found.contains(tensor))
      throw_error(ErrorKind::format, "{}: tensor '{}' is not in '{}', where the index puts it",
                  index_path, printable(tensor), printable(shard));
  check_total_size(index, out, index_path);
  return out;
}

}  // namespace halftone
