// Text as WikiText sets it, for students that are judged on WikiText: what they are distilled on
// then has the same look.
#pragma once

#include <string>
#include <string_view>

namespace halftone {

// How a text is set.
enum class Typography {
  as_is,
  wikitext,  // as wikitext_typography does
};

const char* typography_name(Typography typography);  // as a recipe has it

// A document in the typography of the raw WikiText files (Merity et al., 2016, arXiv 1609.07843),
// as their tokenizer left it:
//   - punctuation, brackets and quotation marks stand between spaces; curly quotes become straight;
//   - a hyphen between letters or digits is " @-@ ", a comma or point between digits " @,@ ", " @.@
//   ";
//   - an apostrophe and what follows it stand apart: "it 's", "don 't";
//   - a line begins and ends with a space, lines that are empty are left out, the first short line
//     without a point at its end is a title, " = Title = ", later ones " = = Section = = ", with an
//     empty line before and behind.
// A point stays with its word where that is one capital, holds a point itself, or the next word
// begins small.
std::string wikitext_typography(std::string_view document);

}  // namespace halftone
