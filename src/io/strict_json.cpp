#include "halftone/io/strict_json.h"

#include <vector>

#include "halftone/base/error.h"
#include "halftone/io/text_file.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

// Builds a value of what the parser finds, and looks at keys and depth where they come.
class StrictBuilder : public Json::json_sax_t {
 public:
  StrictBuilder(const std::string& where, int max_depth) : where_(where), max_depth_(max_depth) {}

  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t& value) override { return put(std::move(value)); }
  bool start_object(std::size_t) override { return begin(Json::object()); }
  bool start_array(std::size_t) override { return begin(Json::array()); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }

  bool key(string_t& key) override {
    const auto [place, fresh] = open_.back()->get_ref<Json::object_t&>().try_emplace(key);
    if (!fresh)
      throw_error(ErrorKind::format, "{}: key '{}' is given twice in one object", where_,
                  printable(key));
    member_ = &place->second;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    throw_error(ErrorKind::format, "{}: not valid JSON: {}", where_, json_error_text(error));
  }

 private:
  // Where the next value stands: behind those of a list, at the last key, or at the top.
  Json& place() {
    if (open_.empty()) return root_;
    Json& parent = *open_.back();
    return parent.is_array() ? parent.get_ref<Json::array_t&>().emplace_back() : *member_;
  }
  template <class Value>
  bool put(Value&& value) {
    place() = std::forward<Value>(value);
    return true;
  }
  bool begin(Json&& container) {
    if (open_.size() >= static_cast<size_t>(max_depth_))
      throw_error(ErrorKind::format, "{}: JSON nested deeper than {} levels", where_, max_depth_);
    Json& at = place();
    at = std::move(container);
    open_.push_back(&at);
    return true;
  }
  bool end() {
    open_.pop_back();
    return true;
  }

  const std::string& where_;
  int max_depth_;
  Json root_;
  std::vector<Json*> open_;  // objects and lists that are not ended; none of them moves meanwhile
  Json* member_ = nullptr;
};

}  // namespace

Json parse_strict_json(std::string_view text, const std::string& where, int max_depth) {
  // The parser would take a zero byte for the end of the text.
  if (const size_t at = text.find('\0'); at != text.npos)
    throw_error(ErrorKind::format, "{}: byte {}: a zero byte, JSON text is expected", where, at);
  StrictBuilder builder(where, max_depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string json_error_text(const nlohmann::json::exception& error) {
  const std::string_view text = error.what();
  const size_t code = text.find("] ");
  return printable(code == text.npos ? text : text.substr(code + 2));
}

nlohmann::json read_json_file(const std::string& path, uint64_t max_bytes, int max_depth) {
  return parse_strict_json(read_text_file(path, max_bytes), path, max_depth);
}

}  // namespace halftone
