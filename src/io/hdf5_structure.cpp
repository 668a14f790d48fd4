#include "hdf5_structure.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "halftone/base/error.h"
#include "hdf5_handles.h"

namespace halftone::hdf5 {
namespace {

constexpr uint64_t kUndefined = ~uint64_t{0};
constexpr int kMostLevel = 8;  // of a B-tree: more than any file's worth of names
constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";

enum MessageType : uint16_t {
  kDataspace = 1,
  kDatatype = 3,
  kExternalFiles = 7,
  kLayout = 8,
  kFilters = 11,
  kAttribute = 12,
  kContinuation = 16,
  kSymbolTable = 17,
};

// The number at `at` of bytes that hold it.
template <class T>
T get(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.substr(at, sizeof value).data(), sizeof value);
  return value;
}

template <class T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string float_message(uint32_t bytes, uint8_t exponent) {
  const uint8_t mantissa = static_cast<uint8_t>(8 * bytes - 1 - exponent);
  std::string out{'\x11', '\x20', static_cast<char>(8 * bytes - 1), '\0'};
  put(out, bytes);
  put(out, uint16_t{0});
  put(out, static_cast<uint16_t>(8 * bytes));
  for (const uint8_t field : {mantissa, exponent, uint8_t{0}, mantissa}) put(out, field);
  put(out, (uint32_t{1} << (exponent - 1)) - 1);
  return out;
}

std::string integer_message(uint32_t bytes, bool is_signed) {
  std::string out{'\x10', is_signed ? '\x08' : '\0', '\0', '\0'};
  put(out, bytes);
  put(out, uint16_t{0});
  put(out, static_cast<uint16_t>(8 * bytes));
  return out;
}

const Message* find(const std::vector<Message>& messages, uint16_t type) {
  const auto it =
      std::ranges::find_if(messages, [&](const Message& message) { return message.type == type; });
  return it == messages.end() ? nullptr : &*it;
}

// The dimensions that a dataspace message gives; nothing where it is none that hdf5.h writes.
std::optional<std::vector<uint64_t>> dimensions(std::string_view space) {
  if (space.size() < 8 || space[0] != 1) return {};
  const size_t rank = static_cast<uint8_t>(space[1]);
  if (rank > Shape::kMostRank || space.size() < 8 + 8 * rank) return {};
  std::vector<uint64_t> out;
  for (size_t i = 0; i < rank; ++i) out.push_back(get<uint64_t>(space, 8 + 8 * i));
  return out;
}

}  // namespace

std::optional<DType> dtype_of(std::string_view datatype) {
  static const std::pair<DType, std::string> kMessages[] = {
      {DType::f32, float_message(4, 8)},      {DType::f64, float_message(8, 11)},
      {DType::f16, float_message(2, 5)},      {DType::bf16, float_message(2, 8)},
      {DType::i32, integer_message(4, true)}, {DType::i64, integer_message(8, true)},
      {DType::u8, integer_message(1, false)}};
  for (const auto& [dtype, message] : kMessages)
    if (datatype.starts_with(message)) return dtype;  // zeros behind it fill it up
  return {};
}

bool is_text(std::string_view datatype) {
  return datatype.size() >= 8 && (datatype[0] & 15) == 3;
}

Structure::Structure(const std::string& path) : path_(path), file_(path), left_(file_.size()) {
  const std::string start = file_.start(96);
  // Version 0 of everything, addresses and sizes of 8 bytes, the content at the file's start.
  if (!start.starts_with(kSignature))
    throw_error(ErrorKind::format, "{}: no readable HDF5 file: no signature at its start", path);
  if (start.size() < 96 || get<uint32_t>(start, 8) != 0 || start[12] != 0 ||
      get<uint16_t>(start, 13) != 0x0808 || get<uint64_t>(start, 24) != 0)
    throw_error(ErrorKind::format, "{}: no readable HDF5 file: superblock of another kind", path);
  read_object(get<uint64_t>(start, 64), "/");
  if (!find(objects_["/"], kSymbolTable)) refuse("/", "is no group");
  std::ranges::sort(datasets_);
}

void Structure::refuse(const std::string& name, const std::string& what) const {
  throw_error(ErrorKind::format, "{}: '{}' {}", path_, printable(name), what);
}

// A piece of structure. Each byte is one piece's, so that all together are no more than the file.
std::string Structure::read(uint64_t offset, uint64_t bytes, const std::string& name) {
  if (offset > file_.size() || bytes > file_.size() - offset)
    refuse(name,
           fmt::format("leads to {} bytes at {}, the file has {}", bytes, offset, file_.size()));
  if (bytes > left_) refuse(name, "leads to what was read before");
  left_ -= bytes;
  std::string out(bytes, '\0');
  if (file_.read(offset, out.data(), bytes) < bytes)
    refuse(name, "became shorter while it was read");
  return out;
}

Structure::Messages Structure::read_messages(uint64_t address, const std::string& name) {
  const std::string prefix = read(address, 16, name);
  if (prefix[0] != 1) refuse(name, "has an object header of another kind");
  const size_t count = get<uint16_t>(prefix, 2);
  Messages messages;
  size_t found = 0;
  std::vector<std::string> pieces{read(address + 16, get<uint32_t>(prefix, 8), name)};
  for (size_t piece = 0; piece < pieces.size(); ++piece) {
    const std::string bytes = std::move(pieces[piece]);
    for (size_t at = 0; at + 8 <= bytes.size() && found < count; ++found) {
      const size_t size = get<uint16_t>(bytes, at + 2);
      if (size > bytes.size() - at - 8) refuse(name, "has a message longer than its header");
      if (bytes[at + 4] & 2) refuse(name, "shares a message with others");
      Message message{get<uint16_t>(bytes, at), bytes.substr(at + 8, size)};
      at += 8 + size;
      if (message.type != kContinuation) {
        messages.push_back(std::move(message));
        continue;
      }
      if (size < 16) refuse(name, "has a message that is too short");
      pieces.push_back(read(get<uint64_t>(message.data, 0), get<uint64_t>(message.data, 8), name));
    }
  }
  if (found < count) refuse(name, "has fewer messages than it says");
  return messages;
}

void Structure::read_object(uint64_t address, const std::string& name) {
  if (!seen_.insert(address).second) refuse(name, "is reached twice");
  const Messages& messages = objects_.emplace(name, read_messages(address, name)).first->second;
  if (const Message* table = find(messages, kSymbolTable))
    read_group(*table, name);
  else if (find(messages, kDataspace) && find(messages, kDatatype) && find(messages, kLayout))
    datasets_.push_back(name);
  else
    refuse(name, "is neither a group nor a dataset that Halftone writes");
}

void Structure::read_group(const Message& table, const std::string& name) {
  if (table.data.size() < 16) refuse(name, "has a message that is too short");
  const std::string heap = read(get<uint64_t>(table.data, 8), 32, name);
  if (!heap.starts_with(std::string_view("HEAP\0", 5))) refuse(name, "has no heap of names");
  const std::string names = read(get<uint64_t>(heap, 24), get<uint64_t>(heap, 8), name);
  read_tree(get<uint64_t>(table.data, 0), kMostLevel, names, name);
}

void Structure::read_tree(uint64_t address, int most_level, const std::string& heap,
                          const std::string& group) {
  const std::string node = read(address, 24, group);
  const int level = static_cast<uint8_t>(node[5]);
  if (!node.starts_with(std::string_view("TREE\0", 5)) || level > most_level)
    refuse(group, "has no tree of names");
  const uint64_t count = get<uint16_t>(node, 6);
  const std::string entries = read(address + 24, 16 * count, group);  // key, child
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t child = get<uint64_t>(entries, 16 * i + 8);
    if (level > 0)
      read_tree(child, level - 1, heap, group);
    else
      read_symbols(child, heap, group);
  }
}

void Structure::read_symbols(uint64_t address, const std::string& heap, const std::string& group) {
  const std::string node = read(address, 8, group);
  if (!node.starts_with(std::string_view("SNOD\1", 5))) refuse(group, "has no list of names");
  const uint64_t count = get<uint16_t>(node, 6);
  const std::string entries = read(address + 8, 40 * count, group);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = get<uint64_t>(entries, 40 * i);
    const size_t end = at < heap.size() ? heap.find('\0', at) : heap.npos;
    if (end == heap.npos) refuse(group, "has a name outside its heap");
    const std::string part = heap.substr(at, end - at);
    const std::string name = group == "/" ? part : group + "/" + part;
    if (name.size() > kMostNameBytes) refuse(name, "has a name that is too long");
    if (part.empty() || part == "." || part == ".." || part.find('/') != part.npos)
      refuse(name, "has a name that no object has");
    if (get<uint32_t>(entries, 40 * i + 16) > 1) refuse(name, "is a link, which is not followed");
    if (objects_.contains(name)) refuse(name, "is there twice");
    read_object(get<uint64_t>(entries, 40 * i + 8), name);
  }
}

Dataset Structure::dataset(const std::string& name) const {
  if (!std::ranges::binary_search(datasets_, name)) refuse(name, "is missing");
  const Messages& messages = objects_.at(name);
  Dataset out;
  const std::string& type = find(messages, kDatatype)->data;
  if (type.size() < 8) refuse(name, "has a message that is too short");
  if ((type[0] & 15) == 9 && (type[1] & 15) == 1) refuse(name, "is text of variable length");
  out.is_text = hdf5::is_text(type);
  out.bytes = get<uint32_t>(type, 4);
  const std::optional<DType> dtype = dtype_of(type);
  if (!out.is_text && !dtype) refuse(name, "is of a type that Halftone does not write");
  if (dtype) out.dtype = *dtype;
  const auto dims = dimensions(find(messages, kDataspace)->data);
  if (!dims || (out.is_text && !dims->empty())) refuse(name, "has no shape that Halftone writes");
  for (const uint64_t dim : *dims) {
    const std::string what = path_ + ": size of '" + printable(name) + "'";
    out.shape.push_back(checked_narrow<int64_t>(dim, what));
    out.bytes = checked_mul(out.bytes, dim, what);
  }
  const std::string& layout = find(messages, kLayout)->data;
  constexpr std::string_view kContiguous = "\3\1";
  if (layout.size() < 18 || !layout.starts_with(kContiguous) || find(messages, kExternalFiles) ||
      find(messages, kFilters))
    refuse(name, "is not stored in one plain piece");
  if (out.bytes > file_.size())
    refuse(name, fmt::format("claims {} bytes, the file has {}", out.bytes, file_.size()));
  if (out.bytes == 0) return out;
  out.offset = get<uint64_t>(layout, 2);
  if (get<uint64_t>(layout, 10) != out.bytes || out.offset == kUndefined ||
      out.offset > file_.size() - out.bytes)
    refuse(name, "does not lie in the file");
  return out;
}

Structure::Attribute Structure::attribute(const std::string& object, const std::string& key) const {
  const std::string name = object + "@" + key;
  const auto it = objects_.find(object);
  if (it == objects_.end()) refuse(name, "is missing");
  for (const Message& message : it->second) {
    const std::string_view data = message.data;
    if (message.type != kAttribute || data.size() < 8 || data[0] != 1) continue;
    const auto padded = [&](size_t at) {
      return (get<uint16_t>(data, at) + size_t{7}) & ~size_t{7};
    };
    const size_t type_at = 8 + padded(2), space_at = type_at + padded(4);
    const size_t value_at = space_at + padded(6);
    if (value_at > data.size()) continue;
    const std::string_view found = data.substr(8, padded(2));
    if (found.substr(0, found.find('\0')) != key) continue;
    const auto dims = dimensions(data.substr(space_at, padded(6)));
    if (!dims || !dims->empty()) refuse(name, "is not one value");
    return {std::string(data.substr(type_at, padded(4))), std::string(data.substr(value_at))};
  }
  refuse(name, "is missing");
}

}  // namespace halftone::hdf5
