// The first inputs of the fuzz targets: where make_seeds puts them and what it makes them of.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "halftone/io/sealed_file.h"

namespace halftone::fuzz {

using Json = nlohmann::ordered_json;

inline const std::string kSource = HALFTONE_SOURCE_DIR, kFixtures = kSource + "/tests/fixtures",
                         kCases = kSource + "/tests/cases/inputs";

inline std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + " cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string without_seal(const std::string& bytes) {
  return bytes.substr(0, bytes.size() - kSealBytes);
}

class Seeds {
 public:
  explicit Seeds(const std::string& folder) : folder_(folder) {}
  void put(const std::string& target, const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(folder_ + "/" + target);
    std::ofstream(folder_ + "/" + target + "/" + name, std::ios::binary) << bytes;
  }
  // Of a file that `write` makes.
  template <class Write>
  void made(const std::string& target, const std::string& name, const Write& write) const {
    const std::string path = folder_ + "/made";
    write(path);
    put(target, name, bytes_of(path));
    std::filesystem::remove(path);
  }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

// Those of the target `packed`: models of some kilobytes with every kind of linear.
void packed_models(const Seeds& seeds);

}  // namespace halftone::fuzz
