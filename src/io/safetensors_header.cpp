#include "safetensors_header.h"

#include <fmt/format.h>

#include <unordered_set>

#include "halftone/base/error.h"
#include "halftone/io/strict_json.h"
#include "halftone/tensor/shape.h"

namespace halftone {
namespace {

constexpr size_t kMaxName = 1024;

using Json = nlohmann::json;

// Follows the parser through the only structure that a header can have:
//   {"__metadata__": {text: text}, name: {"dtype": text, "shape": [n], "data_offsets": [b, e]}}
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  SafetensorsHeader header;

  bool start_object(size_t) override {
    switch (place_) {
      case Place::start:
        place_ = Place::root;
        return true;
      case Place::root:
        place_ = key_ == "__metadata__" ? Place::metadata : Place::tensor;
        has_dtype_ = has_shape_ = has_offsets_ = false;
        if (place_ == Place::tensor) header.entries.push_back({key_, {}, {}, {}});
        return true;
      default:
        fail("an object");
    }
  }

  bool end_object() override {
    if (place_ == Place::tensor) {
      for (const auto& [given, field] :
           {std::pair{has_dtype_, "dtype"}, {has_shape_, "shape"}, {has_offsets_, "data_offsets"}})
        if (!given) fail_text(fmt::format("{} has no '{}'", where(), field));
    }
    place_ = place_ == Place::root ? Place::end : Place::root;
    return true;
  }

  bool key(std::string& text) override {
    switch (place_) {
      case Place::root:
        name_tensor(text);
        break;
      case Place::metadata:
        if (header.metadata.contains(text))
          fail_text(fmt::format("__metadata__ gives key '{}' twice", printable(text)));
        field_ = text;
        break;
      default:
        start_field(text);
    }
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      header.metadata[field_] = text;
    } else if (place_ == Place::tensor && field_ == "dtype") {
      header.entries.back().dtype = text;
    } else {
      fail(fmt::format("the text \"{}\"", printable(text)));
    }
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::tensor || field_ == "dtype") fail("a list");
    place_ = Place::list;
    return true;
  }

  bool end_array() override {
    place_ = Place::tensor;
    if (const size_t n = header.entries.back().offsets.size(); field_ == "data_offsets" && n != 2)
      fail_text(fmt::format("{}: data_offsets holds {} numbers, 2 expected", where(), n));
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::list) fail(fmt::format("the number {}", value));
    auto& entry = header.entries.back();
    const bool shape = field_ == "shape";
    auto& list = shape ? entry.shape : entry.offsets;
    if (list.size() == (shape ? Shape::kMostRank : 2))
      fail_text(fmt::format("{}: {} holds more than {} numbers", where(), field_, list.size()));
    list.push_back(value);
    return true;
  }

  bool number_integer(int64_t value) override { fail(fmt::format("the number {}", value)); }
  bool number_float(double, const std::string& text) override {
    fail(fmt::format("the number {}", printable(text)));
  }
  bool null() override { fail("null"); }
  bool boolean(bool value) override { fail(value ? "true" : "false"); }
  bool binary(Json::binary_t&) override { fail("binary data"); }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    fail_text(fmt::format("header byte {}: {}", position, json_error_text(error)));
  }

 private:
  enum class Place { start, root, metadata, tensor, list, end };

  void name_tensor(const std::string& name) {
    if (name.size() > kMaxName)
      fail_text(fmt::format("a tensor name of {} bytes ('{}'), at most {} expected", name.size(),
                            printable(name), kMaxName));
    if (name.find('\0') != name.npos)
      fail_text(fmt::format("the tensor name '{}' holds a zero byte", printable(name)));
    if (!names_.insert(name).second)
      fail_text(fmt::format("tensor '{}' is given twice", printable(name)));
    key_ = name;
    field_.clear();
  }

  void start_field(const std::string& field) {
    bool* given = field == "dtype"          ? &has_dtype_
                  : field == "shape"        ? &has_shape_
                  : field == "data_offsets" ? &has_offsets_
                                            : nullptr;
    if (!given)
      fail_text(fmt::format("{} has a key '{}', only dtype, shape and data_offsets expected",
                            where(), printable(field)));
    if (*given) fail_text(fmt::format("{} gives '{}' twice", where(), field));
    *given = true;
    field_ = field;
  }

  std::string where() const { return fmt::format("tensor '{}'", printable(key_)); }

  const char* expected() const {
    switch (place_) {
      case Place::start:
        return "an object as the header";
      case Place::root:
        return key_ == "__metadata__" ? "an object of texts" : "an object for each tensor";
      case Place::metadata:
        return "a text";
      case Place::list:
        return "a whole number from 0 to 2^64 - 1";
      default:
        return field_ == "dtype" ? "a text" : "a list of whole numbers";
    }
  }

  [[noreturn]] void fail(const std::string& found) const {
    const std::string place = key_.empty() ? "header" : where();
    const std::string field = field_.empty() ? "" : fmt::format(": {}", printable(field_));
    fail_text(fmt::format("{}{}: found {}, expected {}", place, field, found, expected()));
  }

  [[noreturn]] void fail_text(const std::string& text) const {
    throw_error(ErrorKind::format, "{}: {}", path_, text);
  }

  const std::string& path_;
  Place place_ = Place::start;
  std::string key_, field_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  std::unordered_set<std::string> names_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& path) {
  const auto fail = [&](const std::string& what) {
    throw_error(ErrorKind::format, "{}: {}", path, what);
  };
  if (!text.starts_with('{')) fail("the header does not start with '{'");
  // The parser would stop at a zero byte and ignore what follows.
  if (const size_t at = text.find('\0'); at != text.npos)
    fail(fmt::format("header byte {} is a zero byte", at));
  const size_t last = text.find_last_not_of(' ');
  if (text[last] != '}') fail("the header does not end in '}' and spaces");
  HeaderReader reader(path);
  Json::sax_parse(text.begin(), text.end(), &reader);
  return std::move(reader.header);
}

}  // namespace halftone
