// Recipes out of TOML: a table a section, its keys as the settings name them.
#include <toml++/toml.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <sstream>

#include "app/recipe.h"
#include "halftone/base/error.h"
#include "recipe_overrides.h"
#include "recipe_sections.h"
#include "recipe_text.h"

namespace halftone {
namespace {

std::string found_text(const toml::node& node) {
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  if (const auto* text = node.as_string()) return toml_string(printable(text->get()));
  if (const auto* real = node.as_floating_point()) return number_text(real->get());
  std::ostringstream out;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) out << value;
  });
  return out.str();
}

void flatten(const toml::table& table, const std::string& prefix,
             std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      flatten(*inner, name + ".", out);
      continue;
    }
    std::ostringstream text;
    if (const auto* real = node.as_floating_point())
      text << number_text(real->get());
    else
      node.visit([&](const auto& value) { text << value; });
    out.emplace_back(name, text.str());
  }
}

// Where the run directory lay when its recipe was written, and where it lies now.
struct Move {
  std::string from, to;
};

class Reader : public FieldVisitor {
 public:
  Reader(const toml::table& table, std::string section, const std::string& file,
         const std::string& file_directory, const std::map<std::string, std::string>& raw,
         const std::optional<Move>& move, RecipeReport& report)
      : file_(file), directory_(file_directory), raw_(raw), move_(move), report_(report) {
    push(table, std::move(section));
  }

  void field(std::string_view key, int64_t& value, IntRange range, std::string_view) override {
    const toml::node* node = find(key);
    if (node) read_int(*node, full(key), range, value);
  }

  void field(std::string_view key, double& value, RealRange range, std::string_view) override {
    const toml::node* node = find(key);
    if (!node) return;
    double found = 0;
    if (const auto* real = node->as_floating_point())
      found = real->get();
    else if (const auto* integer = node->as_integer())
      found = static_cast<double>(integer->get());
    else
      return wrong(key, *node, "a number expected");
    // NaN too, and the zero below zero: it would be another recipe that means the same.
    if (!(found >= range.low && found <= range.high) || (found == 0 && std::signbit(found)))
      return wrong(key, *node, fmt::format("{:g} .. {:g} expected", range.low, range.high));
    value = found;
  }

  void field(std::string_view key, bool& value, std::string_view) override {
    const toml::node* node = find(key);
    if (!node) return;
    if (!node->is_boolean()) return wrong(key, *node, "true or false expected");
    value = node->as_boolean()->get();
  }

  void field(std::string_view key, std::string& value, std::string_view) override {
    if (auto text = string_of(key)) value = *text;
  }

  void field(std::string_view key, std::vector<int64_t>& value, IntRange range,
             std::string_view) override {
    const toml::node* node = find(key);
    if (!node) return;
    if (!node->is_array()) return wrong(key, *node, "a list of whole numbers expected");
    std::vector<int64_t> out;
    for (const toml::node& element : *node->as_array()) {
      out.push_back(0);
      if (!read_int(element, full(key), range, out.back())) return;
    }
    value = out;
  }

  void path(std::string_view key, std::string& value, std::string_view) override {
    if (holds_tables(key, "text in quotes expected")) return;
    const auto text = string_of(key);
    if (text) value = *text;
    value = absolute(value, text.has_value() && !raw_.count(full(key)));
  }

  void paths(std::string_view key, std::vector<std::string>& value, std::string_view) override {
    if (holds_tables(key, "a list of paths expected")) return;
    const toml::node* node = find(key);
    if (!node) return;
    const bool from_file = !raw_.count(full(key));
    // On a command line one path needs no brackets.
    if (!from_file && !node->is_array()) {
      value = {absolute(raw_.at(full(key)), false)};
      if (const auto* text = node->as_string()) value = {absolute(text->get(), false)};
      return;
    }
    if (!node->is_array()) return wrong(key, *node, "a list of paths expected");
    value.clear();
    for (const toml::node& element : *node->as_array()) {
      if (!element.is_string() || element.as_string()->get().empty())
        return wrong(key, element, "a path expected");
      value.push_back(absolute(element.as_string()->get(), from_file));
    }
  }

  void names(std::string_view key, std::vector<std::string>& value,
             const std::vector<std::string_view>& known, std::string_view) override {
    const toml::node* node = find(key);
    if (!node) return;
    toml::array given;
    if (const toml::array* list = node->as_array())
      given = *list;
    else if (raw_.count(full(key)) && node->is_string())
      given.push_back(node->as_string()->get());  // on a command line one name needs no brackets
    else
      return wrong(key, *node, "a list of names expected");
    value.clear();
    for (const toml::node& element : given) {
      value.push_back(element.value_or<std::string>(""));
      if (!std::count(known.begin(), known.end(), value.back()))
        return wrong(key, element,
                     fmt::format("of {} expected{}", fmt::join(known, ", "),
                                 suggestion(value.back(), {known.begin(), known.end()})));
    }
  }

  void choice(std::string_view key, int& index, const std::vector<std::string_view>& names,
              std::string_view) override {
    const auto text = string_of(key);
    if (!text) return;
    const auto found = std::find(names.begin(), names.end(), *text);
    if (found != names.end()) {
      index = static_cast<int>(found - names.begin());
      return;
    }
    report_.add(full(key), fmt::format("found {}, one of {} expected{}",
                                       toml_string(printable(*text)), fmt::join(names, ", "),
                                       suggestion(*text, {names.begin(), names.end()})));
  }

  bool open(std::string_view key, bool& present, std::string_view) override {
    const toml::node* node = find(key);
    if (!node) return false;
    if (const auto* off = node->as_boolean(); off && !off->get()) {
      present = false;
      return false;
    }
    if (!node->is_table()) {
      wrong(key, *node, "a table or false expected");
      return false;
    }
    present = true;
    push(*node->as_table(), full(key));
    return true;
  }

  bool open_table(std::string_view key, size_t index, bool) override {
    levels_.back().lists.erase(std::string(key));
    levels_.back().keys.emplace_back(key);
    const toml::node* node = levels_.back().table->get(key);
    if (!node || !node->is_array_of_tables() || index >= node->as_array()->size()) return false;
    const toml::table& table = *node->as_array()->get_as<toml::table>(index);
    const std::string name = fmt::format("{}[{}]", full(key), index);
    report_.set_place(name, place(full(key), table));
    push(table, name);
    return true;
  }

  // Ends the innermost table: what it holds and nobody asked for is unknown.
  void close() override {
    const Level& level = levels_.back();
    for (const auto& [key, expected] : std::map<std::string, std::string>(level.lists))
      if (const toml::node* node = find(key)) wrong(key, *node, expected);
    for (const auto& [key, node] : *level.table) {
      const std::string name(key.str());
      if (std::count(level.keys.begin(), level.keys.end(), name)) continue;
      std::string path = level.prefix + "." + printable(name);
      report_.set_place(path, place(path, node));
      std::string near = suggestion(name, level.keys);
      if (near.empty()) near = fmt::format(", known are {}", fmt::join(level.keys, ", "));
      report_.add(path, "unknown key" + near);
    }
    levels_.pop_back();
  }

 private:
  struct Level {
    const toml::table* table;
    std::string prefix;
    std::vector<std::string> keys;  // asked for so far
    // Lists of tables that were asked for as paths: what is expected unless tables are, too.
    std::map<std::string, std::string> lists;
  };

  void push(const toml::table& table, std::string prefix) {
    levels_.push_back({&table, std::move(prefix), {}, {}});
  }
  std::string full(std::string_view key) const {
    return levels_.back().prefix + "." + std::string(key);
  }
  std::string place(const std::string& path, const toml::node& node) const {
    if (raw_.count(path) || node.source().begin.line == 0) return "--set";
    return fmt::format("{}:{}", file_, node.source().begin.line);
  }
  bool holds_tables(std::string_view key, const char* expected) {
    const toml::node* node = levels_.back().table->get(key);
    if (!node || !node->is_array_of_tables()) return false;
    levels_.back().lists.emplace(key, expected);
    return true;
  }
  const toml::node* find(std::string_view key) {
    levels_.back().keys.emplace_back(key);
    const toml::node* node = levels_.back().table->get(key);
    if (node) report_.set_place(full(key), place(full(key), *node));
    return node;
  }
  void wrong(std::string_view key, const toml::node& node, const std::string& expected) {
    report_.add(full(key), fmt::format("found {}, {}", found_text(node), expected));
  }
  bool read_int(const toml::node& node, const std::string& path, IntRange range, int64_t& value) {
    const auto* integer = node.as_integer();
    if (integer && integer->get() >= range.low && integer->get() <= range.high) {
      value = integer->get();
      return true;
    }
    std::string expected = "a whole number";
    if (integer && integer->get() < range.low)
      expected = fmt::format("at least {}", range.low);
    else if (integer)
      expected = fmt::format("at most {}", range.high);
    report_.add(path, fmt::format("found {}, {} expected", found_text(node), expected));
    return false;
  }
  // Of an override any value is text where text is expected: --set run.name=2024.
  std::optional<std::string> string_of(std::string_view key) {
    const toml::node* node = find(key);
    if (!node) return {};
    if (const auto* text = node->as_string()) return text->get();
    const auto raw = raw_.find(full(key));
    if (raw != raw_.end()) return raw->second;
    wrong(key, *node, "text in quotes expected");
    return {};
  }
  std::string absolute(const std::string& path, bool from_file) const {
    namespace fs = std::filesystem;
    if (path.empty()) return path;
    const fs::path base = from_file ? fs::path(directory_) : fs::current_path();
    std::string out = (base / path).lexically_normal().string();
    std::error_code ignored;
    if (from_file && move_ && !fs::exists(out, ignored)) {
      const fs::path moved = fs::path(move_->to) / fs::path(out).lexically_relative(move_->from);
      if (fs::exists(moved, ignored)) out = moved.lexically_normal().string();
    }
    return out.size() > 1 && out.back() == '/' ? out.substr(0, out.size() - 1) : out;
  }

  std::string file_, directory_;
  const std::map<std::string, std::string>& raw_;
  const std::optional<Move>& move_;
  RecipeReport& report_;
  std::vector<Level> levels_;
};

Recipe read_from(toml::table root, const std::string& path,
                 const std::vector<std::string>& overrides, const std::optional<Move>& move) {
  RecipeReport report(path);
  std::map<std::string, std::string> raw;
  for (const std::string& text : overrides) apply_override(text, root, raw, report);

  drop_replaced(root, raw);

  const std::string directory = std::filesystem::absolute(path).parent_path().string();
  Recipe recipe;
  std::vector<std::string> sections;
  for_each_section(recipe, [&](std::string_view section, const auto& visit_fields) {
    sections.emplace_back(section);
    const toml::node* node = root.get(section);
    static const toml::table kEmpty;
    if (node && !node->is_table())
      report.add_line(fmt::format("{}:{}: {}: found {}, a table expected", path,
                                  node->source().begin.line, section, found_text(*node)));
    const bool given = node && node->is_table();
    if (given) recipe.sections.emplace_back(section);
    if (given && node->source().begin.line)
      report.set_place(std::string(section), fmt::format("{}:{}", path, node->source().begin.line));
    Reader reader(given ? *node->as_table() : kEmpty, std::string(section), path, directory, raw,
                  move, report);
    visit_fields(reader);
    reader.close();
  });
  for (const auto& [key, node] : root) {
    const std::string name(key.str());
    if (std::count(sections.begin(), sections.end(), name)) continue;
    const auto line = node.source().begin.line;
    report.add_line(fmt::format("{}: {}: unknown section{}",
                                line ? fmt::format("{}:{}", path, line) : "--set", printable(name),
                                suggestion(name, sections)));
  }
  check_rules(recipe, report);
  report.throw_if_any();
  return recipe;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> recipe_entries(const std::string& text,
                                                                const std::string& where) {
  std::vector<std::pair<std::string, std::string>> out;
  flatten(parse_recipe(text, where, ErrorKind::format), "", out);
  return out;
}

Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  return read_from(read_recipe_file(path), path, overrides, std::nullopt);
}

Recipe read_run_recipe(const std::string& run_directory,
                       const std::vector<std::string>& overrides) {
  const std::string path = run_directory + "/recipe.toml";
  toml::table root = read_recipe_file(path);
  const std::string now = std::filesystem::weakly_canonical(run_directory).parent_path().string();
  std::optional<Move> move;
  if (const auto then = root["run"]["output_dir"].value<std::string>(); then && *then != now)
    move = Move{*then, now};
  return read_from(std::move(root), path, overrides, move);
}

}  // namespace halftone
