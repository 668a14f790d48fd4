#include <cmath>

#include "app/recipe.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "recipe_sections.h"

namespace halftone {
namespace {

struct Line {
  std::string key;    // "data.generate.seed"
  std::string value;  // TOML
  std::string range;  // "1 .. 32", "a path", ...
  std::string help;
};

// Every field as a line; `everything` lists sub-tables that are off too.
class Lister : public FieldVisitor {
 public:
  Lister(std::string_view section, bool everything, std::vector<Line>& lines)
      : prefix_(std::string(section) + "."), everything_(everything), lines_(lines) {}

  void field(std::string_view key, int64_t& value, IntRange range, std::string_view help) override {
    add(key, std::to_string(value), range_text(range), help);
  }
  void field(std::string_view key, double& value, RealRange range, std::string_view help) override {
    add(key, number_text(value), fmt::format("{:g} .. {:g}", range.low, range.high), help);
  }
  void field(std::string_view key, bool& value, std::string_view help) override {
    add(key, value ? "true" : "false", "true or false", help);
  }
  void field(std::string_view key, std::string& value, std::string_view help) override {
    add(key, toml_string(value), "text", help);
  }
  void field(std::string_view key, std::vector<int64_t>& value, IntRange range,
             std::string_view help) override {
    add(key, fmt::format("[{}]", fmt::join(value, ", ")), "list of " + range_text(range), help);
  }
  void path(std::string_view key, std::string& value, std::string_view help) override {
    add(key, toml_string(value), "path", help);
  }
  void paths(std::string_view key, std::vector<std::string>& value,
             std::string_view help) override {
    add(key, fmt::format("[{}]", texts(value)), "list of paths", help);
  }
  void choice(std::string_view key, int& index, const std::vector<std::string_view>& names,
              std::string_view help) override {
    add(key, toml_string(names.at(static_cast<size_t>(index))),
        fmt::format("{}", fmt::join(names, " | ")), help);
  }
  void names(std::string_view key, std::vector<std::string>& value,
             const std::vector<std::string_view>& known, std::string_view help) override {
    add(key, fmt::format("[{}]", texts(value)), fmt::format("list of {}", fmt::join(known, ", ")),
        help);
  }
  bool open(std::string_view key, bool& present, std::string_view help) override {
    if (!present) add(key, "false", "a table, or false", help);
    if (!present && !everything_) return false;
    prefix_ += std::string(key) + ".";
    return true;
  }
  bool open_table(std::string_view key, size_t index, bool present) override {
    if (!present && !(everything_ && index == 0)) return false;
    prefix_ += fmt::format("{}[{}].", key, index);
    return true;
  }
  void close() override { prefix_.resize(prefix_.rfind('.', prefix_.size() - 2) + 1); }

 private:
  static std::string texts(const std::vector<std::string>& value) {
    std::vector<std::string> out;
    for (const std::string& text : value) out.push_back(toml_string(text));
    return fmt::format("{}", fmt::join(out, ", "));
  }
  static std::string range_text(IntRange range) {
    if (range.high == std::numeric_limits<int64_t>::max()) return fmt::format("{} ..", range.low);
    return fmt::format("{} .. {}", range.low, range.high);
  }
  void add(std::string_view key, std::string value, std::string range, std::string_view help) {
    lines_.push_back(
        {prefix_ + std::string(key), std::move(value), std::move(range), std::string(help)});
  }

  std::string prefix_;
  bool everything_;
  std::vector<Line>& lines_;
};

std::vector<Line> list(Recipe recipe, bool everything) {
  std::vector<Line> lines;
  for_each_section(recipe, [&](std::string_view section, const auto& visit_fields) {
    Lister lister(section, everything, lines);
    visit_fields(lister);
  });
  return lines;
}

// Fields of a section, then those of its sub-tables under headings of their own.
std::string in_sections(const std::vector<Line>& lines,
                        const std::function<std::string(const Line&, std::string_view key)>& text) {
  std::string out, heading;
  for (const Line& line : lines) {
    const size_t dot = line.key.rfind('.');
    if (line.key.substr(0, dot) != heading) {
      heading = line.key.substr(0, dot);
      const size_t list = heading.rfind('[');  // of tables: "eval.text[0]"
      out += out.empty() ? "" : "\n";
      out += list == std::string::npos ? fmt::format("[{}]\n", heading)
                                       : fmt::format("[[{}]]\n", heading.substr(0, list));
    }
    out += text(line, std::string_view(line.key).substr(dot + 1));
  }
  return out;
}

}  // namespace

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", c);
    else
      out += c;
  }
  return out + "\"";
}

std::string number_text(double value) {
  std::string out = fmt::format("{}", value);
  if (std::isfinite(value) && out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

std::string write_recipe(const Recipe& recipe) {
  return in_sections(list(recipe, false), [](const Line& line, std::string_view key) {
    return fmt::format("{} = {}\n", key, line.value);
  });
}

std::string recipe_sha256(const Recipe& recipe) {
  return sha256_hex(write_recipe(recipe));
}

std::vector<std::string> recipe_differences(const Recipe& from, const Recipe& to) {
  std::map<std::string, std::string> before;
  for (Line& line : list(from, false)) before[line.key] = line.value;
  std::vector<std::string> out;
  for (const Line& line : list(to, false)) {
    const auto old = before.find(line.key);
    const std::string value = old == before.end() ? "(none)" : old->second;
    if (value != line.value)
      out.push_back(fmt::format("{}: {} -> {}", line.key, value, line.value));
    if (old != before.end()) before.erase(old);
  }
  for (const auto& [key, value] : before)
    out.push_back(fmt::format("{}: {} -> (none)", key, value));
  return out;
}

std::string recipe_help() {
  return in_sections(list(Recipe(), true), [](const Line& line, std::string_view key) {
    return fmt::format("  {:<28} {}\n{:31}default {}, {}\n", key, line.help, "", line.value,
                       line.range);
  });
}

}  // namespace halftone
