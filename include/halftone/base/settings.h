// Settings list themselves. A stage owns a struct with defaults in place and, below it,
//
//   void fields(FieldVisitor& v, XSettings& s);
//
// which calls v.field(key, member, ...) once a field. That one list reads a recipe, refuses unknown
// keys, prints the effective recipe, fills the help and names the differences between two runs.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace halftone {

struct IntRange {
  int64_t low = 0;
  int64_t high = std::numeric_limits<int64_t>::max();
};

struct RealRange {
  double low = 0;
  double high = std::numeric_limits<double>::max();
};

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void field(std::string_view key, int64_t& value, IntRange range,
                     std::string_view help) = 0;
  virtual void field(std::string_view key, double& value, RealRange range,
                     std::string_view help) = 0;
  virtual void field(std::string_view key, bool& value, std::string_view help) = 0;
  virtual void field(std::string_view key, std::string& value, std::string_view help) = 0;
  // A list of whole numbers.
  virtual void field(std::string_view key, std::vector<int64_t>& value, IntRange range,
                     std::string_view help) = 0;
  // Paths are relative to the recipe; a reader makes them absolute or relative to the working
  // folder.
  virtual void path(std::string_view key, std::string& value, std::string_view help) = 0;
  virtual void paths(std::string_view key, std::vector<std::string>& value,
                     std::string_view help) = 0;
  // A list of names, each one of `known`.
  virtual void names(std::string_view key, std::vector<std::string>& value,
                     const std::vector<std::string_view>& known, std::string_view help) = 0;
  // One of `names`; `index` is the position of the chosen one.
  virtual void choice(std::string_view key, int& index, const std::vector<std::string_view>& names,
                      std::string_view help) = 0;
  // A sub-table that is off unless it is given: `present` says whether. fields() of the sub-table
  // are visited between open() and close() when open() returns true.
  virtual bool open(std::string_view key, bool& present, std::string_view help) = 0;
  // The table number `index` of a list of tables; `present` says whether the settings have one.
  // fields() of the table are visited between open_table() and close() when it returns true. The
  // key may be a path's too: it is then one path, or tables.
  virtual bool open_table(std::string_view key, size_t index, bool present) = 0;
  virtual void close() = 0;
};

// A list of tables, last in a section. What a table leaves out is as in `start`.
template <class Table>
void tables(FieldVisitor& v, std::string_view key, std::vector<Table>& value, const Table& start) {
  for (size_t i = 0; v.open_table(key, i, i < value.size()); ++i) {
    if (i == value.size()) value.push_back(start);
    fields(v, value[i]);
    v.close();
  }
}

// An enum's field: choice(v, "ste", s.ste, {{"tanh", Ste::tanh}, {"identity", Ste::identity}},
// "...").
template <class Enum>
void choice(FieldVisitor& v, std::string_view key, Enum& value,
            std::initializer_list<std::pair<std::string_view, Enum>> options,
            std::string_view help) {
  std::vector<std::string_view> names;
  int index = 0;
  for (const auto& [name, option] : options) {
    if (option == value) index = static_cast<int>(names.size());
    names.push_back(name);
  }
  v.choice(key, index, names, help);
  value = (options.begin() + index)->second;
}

}  // namespace halftone
