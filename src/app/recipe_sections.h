// What the reader and the writer of recipes share.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/recipe.h"

namespace halftone {

// Calls visit(section, list) for each section in order; list(v) calls the section's fields(v, ...).
void for_each_section(
    Recipe& recipe,
    const std::function<void(std::string_view section,
                             const std::function<void(FieldVisitor&)>& list)>& visit);

// The faults of a recipe, and where each of its keys was written.
class RecipeReport {
 public:
  explicit RecipeReport(std::string file) : file_(std::move(file)) {}

  void set_place(const std::string& key, std::string place) { places_[key] = std::move(place); }
  bool given(const std::string& key) const { return places_.count(key) != 0; }
  // Place of the key, of the nearest table around it, or else the file.
  std::string place(std::string key) const;

  void add(const std::string& key, const std::string& text);
  // add(keys[0], text) when `broken` and none of the keys has a fault already.
  void rule(bool broken, std::initializer_list<const char*> keys, const std::string& text);
  void add_line(std::string line) { lines_.push_back(std::move(line)); }
  void throw_if_any() const;

 private:
  std::string file_;
  std::map<std::string, std::string> places_;
  std::set<std::string> faulty_;
  std::vector<std::string> lines_;
};

// Rules that join several fields, and the existence of what paths name.
void check_rules(const Recipe& recipe, RecipeReport& report);

// ", did you mean `x`?" for the nearest of `known` if it is near enough, else "".
std::string suggestion(std::string_view found, const std::vector<std::string>& known);

std::string toml_string(std::string_view text);  // a TOML basic string
std::string number_text(double value);           // the shortest TOML float that reads back the same

}  // namespace halftone
