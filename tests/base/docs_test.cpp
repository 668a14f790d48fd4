// The documents: what they link to is there, and what the code cites of them too.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = HALFTONE_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The README, the change log, and what lies in docs/.
std::vector<fs::path> documents() {
  std::vector<fs::path> out{kRoot / "README.md", kRoot / "CHANGELOG.md"};
  for (const auto& entry : fs::directory_iterator(kRoot / "docs"))
    if (entry.path().extension() == ".md") out.push_back(entry.path());
  return out;
}

// First groups of all matches.
std::set<std::string> all_matches(const std::string& text, const std::regex& pattern) {
  std::set<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it)
    out.insert((*it)[1]);
  return out;
}

// A heading's name in a link, as the usual renderers make it: "0.6 Bits" -> "06-bits".
std::string anchor(const std::string& heading) {
  std::string out;
  for (const unsigned char c : heading) {
    if (std::isalnum(c) || c == '-' || c == '_')
      out += static_cast<char>(std::tolower(c));
    else if (c == ' ')
      out += '-';
  }
  return out;
}

std::set<std::string> anchors(const fs::path& document) {
  static const std::regex heading(R"(\n#+ +([^\n]+))");
  std::set<std::string> out;
  for (const std::string& text : all_matches("\n" + read(document), heading))
    out.insert(anchor(text));
  return out;
}

// What is wrong with the links of a document that lies in `folder`.
std::vector<std::string> broken_links(const std::string& text, const fs::path& folder,
                                      const fs::path& self) {
  static const std::regex link(R"(\]\(([^)\s]+)\))");
  std::vector<std::string> out;
  for (const std::string& target : all_matches(text, link)) {
    if (target.starts_with("https://")) continue;
    const size_t hash = target.find('#');
    const fs::path path = hash == 0 ? self : folder / target.substr(0, hash);
    if (!fs::exists(path))
      out.push_back(target + ": no such file");
    else if (hash != target.npos && !anchors(path).contains(target.substr(hash + 1)))
      out.push_back(target + ": no such heading");
  }
  return out;
}

TEST(Docs, LinksLeadToFilesAndHeadings) {
  size_t links = 0;
  for (const fs::path& document : documents()) {
    ASSERT_TRUE(fs::exists(document)) << document;
    const std::string text = read(document);
    for (const std::string& what : broken_links(text, document.parent_path(), document))
      ADD_FAILURE() << document << ": " << what;
    links += all_matches(text, std::regex(R"(\]\(([^)\s]+)\))")).size();
  }
  EXPECT_GT(links, 50u);
}

TEST(Docs, ABrokenLinkIsFound) {
  const fs::path page = kRoot / "docs/methods.md";
  EXPECT_EQ(broken_links("[a](nowhere.md) [b](methods.md#7-onebit)", kRoot / "docs", page),
            std::vector<std::string>{"nowhere.md: no such file"});
  EXPECT_EQ(broken_links("[a](#no-such-section)", kRoot / "docs", page),
            std::vector<std::string>{"#no-such-section: no such heading"});
}

// Numbers behind "methods": "methods 5.1, 5.2", "methods 4 and 5", over line ends of comments.
std::set<std::string> cited_sections(std::string source) {
  source = std::regex_replace(source, std::regex(R"(\n\s*//)"), " ");
  static const std::regex citation(R"(\bmethods\s+(\d+(?:\.\d+)*(?:(?:,| and)\s+\d+(?:\.\d+)*)*))"),
      number(R"((\d+(?:\.\d+)*))");
  std::set<std::string> out;
  for (const std::string& list : all_matches(source, citation))
    out.merge(all_matches(list, number));
  return out;
}

TEST(Docs, SectionsThatTheCodeCitesAreInMethods) {
  static const std::regex heading(R"(\n#+ +(\d+(?:\.\d+)*)[. ])");
  const std::set<std::string> sections = all_matches(read(kRoot / "docs/methods.md"), heading);
  std::set<std::string> cited;
  for (const char* folder : {"include", "src", "tests", "bench"})
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      const fs::path& file = entry.path();
      const bool source = file.extension() == ".cpp" || file.extension() == ".h" ||
                          file.extension() == ".cu" || file.extension() == ".py";
      if (!source || file.filename() == "docs_test.cpp") continue;
      for (const std::string& section : cited_sections(read(file))) {
        EXPECT_TRUE(sections.contains(section))
            << file << " cites methods " << section << ", which docs/methods.md has not";
        cited.insert(section);
      }
    }
  EXPECT_GT(cited.size(), 10u);
}

TEST(Docs, CitationsAreReadInTheirSpellings) {
  EXPECT_EQ(cited_sections("// (arXiv 1; methods 5.1, 5.2); methods 4 and 5. See methods\n"
                           "  // 7.6). Of all methods, 3 are new."),
            (std::set<std::string>{"4", "5", "5.1", "5.2", "7.6"}));
}

}  // namespace
