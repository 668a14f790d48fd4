// --set section.key=value.
#include "recipe_overrides.h"

#include <algorithm>
#include <vector>

#include "halftone/base/error.h"
#include "recipe_text.h"

namespace halftone {
namespace {

bool is_bare_key(std::string_view key) {
  return !key.empty() && key.find_first_not_of(
                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789_-") == std::string_view::npos;
}

std::vector<std::string> split_key(std::string_view key) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t dot = key.find('.');
    parts.emplace_back(key.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    key.remove_prefix(dot + 1);
  }
}

// The value of an override as a table of one entry "value".
toml::table parse_value(const std::string& text) {
  if (!too_deep_at_line(text, kMostNesting)) {
    try {
      toml::table out = toml::parse("value = " + text);
      if (out.size() == 1) return out;
    } catch (const toml::parse_error&) {
    }
  }
  toml::table out;
  out.insert_or_assign("value", text);
  return out;
}

}  // namespace

void apply_override(const std::string& assignment, toml::table& root,
                    std::map<std::string, std::string>& raw, RecipeReport& report) {
  const size_t equals = assignment.find('=');
  const std::string key = assignment.substr(0, equals);
  const std::vector<std::string> parts = split_key(key);
  if (equals == std::string::npos || parts.size() < 2 || parts.size() > 4 ||
      !std::all_of(parts.begin(), parts.end(), is_bare_key)) {
    report.add_line(fmt::format("--set: found {}, section.key=value expected",
                                toml_string(printable(assignment))));
    return;
  }
  const std::string text = assignment.substr(equals + 1);
  toml::table parsed = parse_value(text);
  toml::table* table = &root;
  std::string at;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    at += (i ? "." : "") + parts[i];
    toml::node* inner = table->get(parts[i]);
    // `generate = false` gives way to a table, as does nothing at all.
    if (!inner || inner->is_boolean()) {
      table->insert_or_assign(parts[i], toml::table{});
      report.set_place(at, "--set");
      inner = table->get(parts[i]);
    }
    if (!inner->is_table()) return;  // reported when the table is read
    table = inner->as_table();
  }
  table->insert_or_assign(parts.back(), std::move(*parsed.get("value")));
  raw[key] = text;
}

void drop_replaced(toml::table& root, const std::map<std::string, std::string>& raw) {
  if (toml::table* data = root["data"].as_table(); data && raw.contains("data.train"))
    data->erase("source");
  toml::table* train = root["train"].as_table();
  const bool steps = raw.contains("train.max_steps"),
             epochs = raw.contains("train.num_train_epochs");
  if (!train || steps == epochs) return;
  const auto given = (*train)[steps ? "max_steps" : "num_train_epochs"].value<double>();
  if (given.value_or(0) > 0) train->erase(steps ? "num_train_epochs" : "max_steps");
}

}  // namespace halftone
