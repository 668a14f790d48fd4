#include "named_tokens.h"

#include <algorithm>

#include "halftone/base/error.h"

namespace halftone {

TokenTable::TokenTable(const std::vector<std::string>& tokens, std::vector<AddedToken> added,
                       const std::string& file)
    : file_(file), added_(std::move(added)), next_(static_cast<int64_t>(tokens.size())) {
  const auto enter = [&](const std::string& text, int32_t id) {
    if (text.empty()) return;
    ids_.emplace(text, id);
    texts_.emplace(id, text);
    next_ = std::max<int64_t>(next_, id + int64_t{1});
  };
  for (const AddedToken& token : added_) enter(token.text, token.id);
  for (size_t id = 0; id < tokens.size(); ++id) enter(tokens[id], static_cast<int32_t>(id));
}

std::optional<int32_t> TokenTable::id_of(std::string_view text) const {
  const auto it = ids_.find(text);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

void TokenTable::add(const NamedToken& named) {
  AddedToken token = named.token;
  if (token.text.empty()) return;
  const auto own = id_of(token.text);
  if (!named.has_id) token.id = own.value_or(static_cast<int32_t>(next_));
  if (own && *own != token.id)
    throw_error(ErrorKind::format, "{}: {}: found id {} for '{}', which has id {} in {}",
                named.file, named.field, token.id, printable(token.text), *own, file_);
  if (const auto it = texts_.find(token.id); it != texts_.end() && it->second != token.text)
    throw_error(ErrorKind::format, "{}: {}: found '{}' for id {}, which is '{}' in {}", named.file,
                named.field, printable(token.text), token.id, printable(it->second), file_);
  ids_.emplace(token.text, token.id);
  texts_.emplace(token.id, token.text);
  next_ = std::max<int64_t>(next_, token.id + int64_t{1});
  const auto same = [&](const AddedToken& a) { return a.id == token.id; };
  const auto it = std::find_if(added_.begin(), added_.end(), same);
  if (it == added_.end())
    added_.push_back(std::move(token));
  else if (named.replaces)
    *it = std::move(token);
}

}  // namespace halftone
