// Tests mirror sources: a stem that others include has a test file, and a test file has a stem.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = HALFTONE_SOURCE_DIR;

// Public stems without a test file of their own.
const std::map<std::string, std::string> kUntested{
    {"compress/settings", "a list of fields; tests/app/recipe_test.cpp reads and writes them"},
    {"quant/settings", "likewise"},
    {"text/data_settings", "likewise"},
    {"train/settings", "likewise"},
};

// Test files, and folders of them, that are of no stem.
const std::map<std::string, std::string> kWithoutStem{
    {"app/", "the program as its users meet it: a file a use"},
    {"reliability/", "whole runs that are killed, or meet damaged files"},
    {"base/docs", "reads the documents"},
    {"base/door", "reads the sources"},
    {"base/include_order", "reads the sources"},
    {"base/mirror", "reads the names of the sources"},
    {"gpu/", "the kernels of GPUs against the CPU's, in a program of their own"},
    {"ops/op_cases", "every op by one list of cases"},
    {"ranks/", "the program on several ranks, as a launcher of MPI starts it"},
    {"quant/reference", "every method against plain NumPy"},
    {"train/families", "every family of models through the whole program"},
};

// What lies below a folder, as paths in it without their suffix: "gemm/sgemm".
std::set<std::string> stems_below(const fs::path& folder, const std::set<std::string>& suffixes) {
  std::set<std::string> out;
  if (!fs::exists(folder)) return out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (suffixes.contains(entry.path().extension()))
      out.insert(fs::relative(entry.path(), folder).replace_extension().string());
  return out;
}

// Names of sources and of tests, without "_test.cpp": "tensor/gemm/sgemm".
struct Names {
  std::set<std::string> headers;  // of include/halftone
  std::set<std::string> sources;  // of src, private headers too
  std::set<std::string> tests;
};

Names names_of_the_tree() {
  Names out{.headers = stems_below(kRoot / "include/halftone", {".h"}),
            .sources = stems_below(kRoot / "src", {".cpp", ".cu", ".h"}),
            .tests = {}};
  for (const std::string& test : stems_below(kRoot / "tests", {".cpp"}))
    if (test.ends_with("_test")) out.tests.insert(test.substr(0, test.size() - 5));
  return out;
}

// `name` is `stem`, or begins with it: config, config_keys.
bool is_of(const std::string& name, const std::string& stem) {
  return name == stem || name.starts_with(stem + "_");
}

// Where a header's source lies, which may be in a folder below: tensor/gemm -> tensor/gemm/gemm. Of
// several sources that begin with its name the header's is enough: io/hdf5. Empty: it has none.
std::string stem_of_header(const std::string& header, const std::set<std::string>& sources) {
  const fs::path path = header;
  const std::string folder = path.parent_path().string() + "/";
  for (const std::string& source : sources)
    if (source.starts_with(folder) && fs::path(source).filename() == path.filename()) return source;
  for (const std::string& source : sources)
    if (is_of(source, header)) return header;
  return "";
}

// The longest stem that a test file's name begins with; empty: none.
std::string stem_of_test(const std::string& test, const std::set<std::string>& stems) {
  std::string out;
  for (const std::string& stem : stems)
    if (is_of(test, stem) && stem.size() > out.size()) out = stem;
  return out;
}

bool excepted(const std::string& test) {
  for (const auto& [name, reason] : kWithoutStem)
    if (test == name || (name.ends_with('/') && test.starts_with(name))) return true;
  return false;
}

struct Faults {
  std::set<std::string> untested;    // public stems
  std::set<std::string> of_no_stem;  // tests
};

Faults faults_of(const Names& names) {
  std::set<std::string> stems = names.sources, wanted;
  stems.insert(names.headers.begin(), names.headers.end());
  for (const std::string& header : names.headers) {
    const std::string stem = stem_of_header(header, names.sources);
    // What the program is made of is tested as a program.
    if (!stem.empty() && !header.starts_with("app/") && !kUntested.contains(header))
      wanted.insert(stem);
  }
  Faults out;
  for (const std::string& test : names.tests) {
    const std::string stem = stem_of_test(test, stems);
    wanted.erase(stem);
    if (stem.empty() && !excepted(test)) out.of_no_stem.insert(test);
  }
  out.untested = wanted;
  return out;
}

TEST(Mirror, EveryPublicStemHasATestFileAndEveryTestFileAStem) {
  const Names names = names_of_the_tree();
  const Faults faults = faults_of(names);
  for (const std::string& stem : faults.untested)
    ADD_FAILURE() << "no tests/" << stem << "_test.cpp, nor one that begins so";
  for (const std::string& test : faults.of_no_stem)
    ADD_FAILURE() << "tests/" << test << "_test.cpp is named after no source";
  EXPECT_GT(names.headers.size(), 100u);
  EXPECT_GT(names.tests.size(), 70u);
}

TEST(Mirror, ExceptionsAreOfWhatIsThere) {
  const Names names = names_of_the_tree();
  for (const auto& [stem, reason] : kUntested) {
    EXPECT_TRUE(names.headers.contains(stem)) << stem;
    EXPECT_FALSE(names.tests.contains(stem)) << stem << " has a test";
  }
  for (const auto& [test, reason] : kWithoutStem)
    EXPECT_TRUE(fs::exists(kRoot / "tests" / test) || names.tests.contains(test)) << test;
}

TEST(Mirror, FaultsOfBothKindsAreFound) {
  const Faults faults =
      faults_of({.headers = {"io/file", "io/file_kind", "io/types", "io/parted", "tensor/gemm",
                             "app/run", "quant/settings"},
                 .sources = {"io/file", "io/file_kind", "io/parted_reader", "tensor/gemm/gemm",
                             "tensor/gemm/panels", "app/run", "quant/settings"},
                 // file_kind_long is of file_kind, and file has none.
                 .tests = {"io/file_kind_long", "io/killed", "io/parted_ends", "tensor/gemm/gemm",
                           "tensor/gemm/panels", "app/anything", "base/docs"}});
  EXPECT_EQ(faults.untested, std::set<std::string>{"io/file"});
  EXPECT_EQ(faults.of_no_stem, std::set<std::string>{"io/killed"});
}

}  // namespace
