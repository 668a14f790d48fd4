#include "halftone/io/hdf5.h"

#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "halftone/base/error.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

class Hdf5 : public TemporaryFolder {
 protected:
  // Makes a file with the library itself, as another program would.
  template <class Body>
  void make(const Body& body) const {
    const hid_t file = H5Fcreate(at("a.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    body(file);
    H5Fclose(file);
  }
  static void dataset(hid_t file, const char* name, hid_t type, std::vector<hsize_t> dims,
                      hid_t made) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, made, H5P_DEFAULT);
    EXPECT_GE(set, 0) << name;
    H5Dclose(set);
    H5Sclose(space);
  }
  // What the reader says of dataset `name` in a.h5; "" when it reads it.
  std::string fault(const std::string& name) const {
    try {
      Hdf5Reader(at("a.h5")).read(name);
      return "";
    } catch (const Error& e) {
      return e.kind() == ErrorKind::format ? e.what() : "wrong kind";
    }
  }
};

TEST_F(Hdf5, NumbersTextsAndAttributesComeBack) {
  {
    Hdf5Writer file(at("a.h5"));
    file.make_group("empty");
    file.write("g/h/x", Tensor::of<int32_t>({2, 2}, {1, -2, 3, -4}));
    file.write_text("g/t", "caf\xc3\xa9");
    file.write_attribute("/", "count", int64_t{-5});
    file.write_attribute("g", "rate", 0.1);
    file.write_attribute("g/h/x", "note", std::string("of x"));
    file.write_attribute("g", "nothing", std::string());
    file.close();
  }
  const Hdf5Reader file(at("a.h5"));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"g/h/x", "g/t"}));
  EXPECT_EQ(file.shape("g/h/x"), (Shape{2, 2}));
  EXPECT_EQ(file.dtype("g/h/x"), DType::i32);
  EXPECT_EQ(file.read("g/h/x").data<int32_t>()[3], -4);
  EXPECT_TRUE(file.is_text("g/t"));
  EXPECT_EQ(file.read_text("g/t"), "caf\xc3\xa9");
  EXPECT_EQ(file.attribute("/", "count"), Hdf5Attribute(int64_t{-5}));
  EXPECT_EQ(file.attribute("g", "rate"), Hdf5Attribute(0.1));
  EXPECT_EQ(file.attribute("g/h/x", "note"), Hdf5Attribute(std::string("of x")));
  EXPECT_EQ(file.attribute("g", "nothing"), Hdf5Attribute(std::string()));
}

TEST_F(Hdf5, HalvesAreFloatsOf16BitsToOtherPrograms) {
  {
    Hdf5Writer file(at("a.h5"));
    file.write("half", Tensor::of<float>({3}, {1.5f, -65504, 6e-8f}).to(DType::f16));
    file.write("brain", Tensor::of<float>({3}, {1.5f, -3e38f, 1e-30f}).to(DType::bf16));
    file.close();
  }
  const hid_t file = H5Fopen(at("a.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const auto floats = [&](const char* name) {
    std::vector<float> out(3);
    const hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    EXPECT_GE(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()), 0);
    H5Dclose(set);
    return out;
  };
  EXPECT_EQ(floats("half"), (std::vector<float>{1.5f, -65504, 0x1p-24f}));
  const std::vector<float> brain = floats("brain");
  EXPECT_EQ(brain[0], 1.5f);
  EXPECT_NEAR(brain[1] / -3e38f, 1, 1.0 / 256);
  EXPECT_NEAR(brain[2] / 1e-30f, 1, 1.0 / 256);
  H5Fclose(file);
}

TEST_F(Hdf5, WhatIsAskedForWronglyIsNamed) {
  Hdf5Writer file(at("a.h5"));
  file.write("x", Tensor::zeros({2}, DType::u8));
  file.write_text("t", "text");
  file.close();
  EXPECT_EQ(fault("y"), at("a.h5") + ": 'y' is missing");
  EXPECT_EQ(fault("t"), at("a.h5") + ": 't' is text, numbers expected");
  const Hdf5Reader reader(at("a.h5"));
  EXPECT_THROW(reader.read_text("x"), Error);
  EXPECT_THROW(reader.attribute("x", "a"), Error);
  EXPECT_THROW(reader.attribute("y", "a"), Error);
}

TEST_F(Hdf5, OnlyPlainContiguousNumbersInTheFileItselfAreRead) {
  make([&](hid_t file) {
    const hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {4};
    H5Pset_chunk(chunked, 1, chunk);
    dataset(file, "chunked", H5T_IEEE_F32LE, {8}, chunked);
    // A chunked dataset may claim far more than the file holds.
    dataset(file, "huge", H5T_IEEE_F32LE, {hsize_t{1} << 50}, chunked);
    H5Pclose(chunked);
    const hid_t compact = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(compact, H5D_COMPACT);
    dataset(file, "compact", H5T_IEEE_F32LE, {4}, compact);
    H5Pclose(compact);
    const hid_t outside = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(outside, "/etc/passwd", 0, 16);
    dataset(file, "outside", H5T_STD_U8LE, {16}, outside);
    H5Pclose(outside);
    dataset(file, "unwritten", H5T_IEEE_F32LE, {4}, H5P_DEFAULT);
    dataset(file, "claims", H5T_IEEE_F32LE, {hsize_t{1} << 40}, H5P_DEFAULT);
    dataset(file, "overflow", H5T_IEEE_F64LE, {hsize_t{1} << 31, hsize_t{1} << 29}, H5P_DEFAULT);
    dataset(file, "rank", H5T_IEEE_F32LE, std::vector<hsize_t>(9, 1), H5P_DEFAULT);
    dataset(file, "big_endian", H5T_IEEE_F32BE, {4}, H5P_DEFAULT);
    dataset(file, "i16", H5T_STD_I16LE, {4}, H5P_DEFAULT);
    const hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    dataset(file, "variable", text, {1}, H5P_DEFAULT);
    H5Tclose(text);
    const hid_t lists = H5Tvlen_create(H5T_STD_I32LE);
    dataset(file, "lists", lists, {1}, H5P_DEFAULT);
    H5Tclose(lists);
  });
  const std::pair<const char*, const char*> cases[] = {
      {"chunked", "one plain piece"}, {"huge", "one plain piece"},
      {"compact", "one plain piece"}, {"outside", "one plain piece"},
      {"unwritten", "does not lie"},  {"claims", "claims 4398046511104 bytes"},
      {"overflow", "claims"},         {"big_endian", "is of a type"},
      {"i16", "is of a type"},        {"variable", "variable length"},
      {"lists", "is of a type"},      {"rank", "no shape that Halftone writes"}};
  for (const auto& [name, phrase] : cases)
    EXPECT_NE(fault(name).find(phrase), std::string::npos) << name << ": " << fault(name);
}

TEST_F(Hdf5, LinksOutOfTheFileAreRefusedBeforeAnythingIsRead) {
  make([&](hid_t file) { H5Lcreate_soft("/x", file, "soft", H5P_DEFAULT, H5P_DEFAULT); });
  EXPECT_EQ(fault("soft"), at("a.h5") + ": 'soft' is a link, which is not followed");
  make([&](hid_t file) {
    const hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/", group, "out", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
  });
  EXPECT_EQ(fault("g"), at("a.h5") + ": 'g' is neither a group nor a dataset that Halftone writes");
}

TEST_F(Hdf5, AnObjectOfTwoNamesIsRefused) {
  make([&](hid_t file) {
    const hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "g", group, "again", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
  });
  EXPECT_EQ(fault("g"), at("a.h5") + ": 'g/again' is reached twice");
}

TEST_F(Hdf5, ThousandsOfNamesComeBack) {
  std::vector<std::string> names;
  {
    Hdf5Writer file(at("a.h5"));
    for (int i = 0; i < 3000; ++i) {
      names.push_back(fmt::format("g/a rather long name of number {:04d}", i));
      file.write(names.back(), Tensor::of<int32_t>({1}, {i}));
    }
    file.close();
  }
  const Hdf5Reader file(at("a.h5"));
  ASSERT_EQ(file.names(), names);
  for (int i = 0; i < 3000; ++i) EXPECT_EQ(file.read(names[i]).data<int32_t>()[0], i);
}

TEST_F(Hdf5, AsManyAttributesAsFillAHeaderComeBack) {
  {
    Hdf5Writer file(at("a.h5"));
    for (int i = 0; i < 20; ++i)
      file.write_attribute("/", fmt::format("text {}", i), std::string(1000 * i, 'x'));
    file.close();
  }
  const Hdf5Reader file(at("a.h5"));
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(file.attribute("/", fmt::format("text {}", i)),
              Hdf5Attribute(std::string(1000 * i, 'x')));
}

// Every byte of structure changed: read or refused, and never what lies beyond the file.
TEST_F(Hdf5, ChangedStructureIsReadOrRefused) {
  {
    Hdf5Writer file(at("a.h5"));
    file.write("g/x", Tensor::zeros({3}, DType::f32));
    file.write_text("t", "text");
    file.write_attribute("/", "count", int64_t{1});
    file.close();
  }
  const std::string whole = get("a.h5");
  int refused = 0;
  for (size_t at_byte = 0; at_byte < whole.size(); ++at_byte) {
    for (const int change : {1, 0xff}) {
      std::string changed = whole;
      changed[at_byte] = static_cast<char>(changed[at_byte] ^ change);
      std::filesystem::remove(at("a.h5"));  // one written over goes to the disk at once
      put("a.h5", changed);
      try {
        const Hdf5Reader file(at("a.h5"));
        for (const std::string& name : file.names())
          file.is_text(name) ? void(file.read_text(name)) : void(file.read(name));
        file.attribute("/", "count");
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::format) << at_byte << ": " << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 300);
}

TEST_F(Hdf5, WhatIsNoHdf5FileIsRefused) {
  put("a.h5", "not at all");
  EXPECT_NE(fault("x").find("no readable HDF5 file"), std::string::npos);
  put("a.h5", "");
  EXPECT_NE(fault("x").find("no readable HDF5 file"), std::string::npos);
}

TEST_F(Hdf5, AFullDiskDoesNotSpoilTheNextFile) {
  const int code = exit_code_of_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    for (const rlim_t limit : {0, 1, 96, 800, 2000, 2500, 4096, 10'000, 80'000}) {
      rlimit size{};
      ::getrlimit(RLIMIT_FSIZE, &size);
      size.rlim_cur = limit;
      ::setrlimit(RLIMIT_FSIZE, &size);
      bool failed = false;
      try {
        Hdf5Writer file(at("a.h5"));
        for (const char* name : {"a/x", "b/y", "c/z"})
          file.write(name, Tensor::zeros({10'000}, DType::f32));
        file.close();
      } catch (const Error& e) {
        failed = e.kind() == ErrorKind::io && std::strstr(e.what(), "File too large");
      }
      if (!failed) return 41;
      size.rlim_cur = size.rlim_max;
      ::setrlimit(RLIMIT_FSIZE, &size);
      Hdf5Writer file(at("a.h5"));
      file.write("x", Tensor::zeros({10'000}, DType::f32));
      file.close();
      if (Hdf5Reader(at("a.h5")).read("x").numel() != 10'000) return 42;
    }
    std::exit(40);  // with the library's own work at exit, which must not fail
    return 0;
  });
  EXPECT_EQ(code, 40);
}

TEST_F(Hdf5, NamesThatHdf5WouldReadOtherwiseAreTheCallersFault) {
  Hdf5Writer file(at("a.h5"));
  const Tensor x = Tensor::zeros({1}, DType::f32);
  for (const std::string& name :
       {std::string(), std::string("/x"), std::string("x/"), std::string("a//b"),
        std::string("./x"), std::string("a/.."), std::string("a\0b", 3), std::string(1025, 'n')})
    EXPECT_THROW(file.write(name, x), std::invalid_argument) << name;
  EXPECT_THROW(file.write("x", Tensor()), std::invalid_argument);
  EXPECT_THROW(file.write_text("x", std::string("a\0b", 3)), std::invalid_argument);
  file.write("x", x);
  EXPECT_THROW(file.write("x", x), Error);        // twice
  EXPECT_THROW(file.write("x/under", x), Error);  // x is no group
}

}  // namespace
}  // namespace halftone
