// The parts of a tokenizer.json around its model.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "halftone/text/bpe.h"
#include "json_field.h"

namespace halftone {

void read_normalizer(const JsonField& field, BpeDefinition& out);

// Sets `byte_level` where the last step is ByteLevel.
void read_pretokenizer(const JsonField& field, BpeDefinition& out);

// Of a tokenizer of the sentencepiece kind.
void read_decoder(const JsonField& field, BpeDefinition& out);

// What is put in front of a text and behind it. `id_of`: the id of a token's text.
void read_post_processor(const JsonField& field,
                         const std::function<std::optional<int32_t>(std::string_view)>& id_of,
                         BpeDefinition& out);

}  // namespace halftone
