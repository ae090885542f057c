// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/host_driver_catalog.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class HostDriverCatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "/drivers.XXXXXX";
    ASSERT_NE(mkdtemp(dir_.data()), nullptr);
  }
  void Install(const std::string& name, const std::string& script) {
    const std::string path = dir_ + "/diskd-driver-" + name;
    std::remove(path.c_str());
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    chmod(path.c_str(), 0755);
  }
  static std::string Says(const std::string& name, int version = 1) {
    return "echo '{\"name\":\"" + name +
           "\",\"description\":\"d\",\"protocolVersion\":" + std::to_string(version) +
           ",\"parameters\":[{\"name\":\"dir\"}]}'";
  }
  std::string dir_;
};

TEST_F(HostDriverCatalogTest, GoodDriver_IsDescribed) {
  Install("good", Says("good"));
  HostDriverCatalog catalog({"/nonexistent", dir_});
  const auto drivers = catalog.List();
  ASSERT_EQ(drivers.size(), 1u);
  EXPECT_EQ(drivers[0].name(), "good");
  EXPECT_EQ(drivers[0].problem(), "");
  EXPECT_EQ(drivers[0].parameters(0).name(), "dir");
  EXPECT_EQ(drivers[0].path(), dir_ + "/diskd-driver-good");
}

TEST_F(HostDriverCatalogTest, BadDrivers_AreListedWithTheirProblemBesideGoodOnes) {
  Install("exits", "exit 3");
  Install("good", Says("good"));
  Install("hangs", "exec sleep 1000");
  Install("newer", Says("newer", 2));
  Install("other", Says("name"));
  Install("rubbish", "echo rubbish");
  HostDriverCatalog catalog({dir_}, absl::Seconds(1));
  std::map<std::string, std::string> problems;
  for (const auto& driver : catalog.List()) problems[driver.name()] = driver.problem();
  EXPECT_EQ(problems["good"], "");
  EXPECT_NE(problems["exits"].find("exit status 3"), std::string::npos) << problems["exits"];
  EXPECT_NE(problems["hangs"].find("in time"), std::string::npos) << problems["hangs"];
  EXPECT_NE(problems["newer"].find("version 2"), std::string::npos) << problems["newer"];
  EXPECT_NE(problems["other"].find("describes itself"), std::string::npos) << problems["other"];
  EXPECT_NE(problems["rubbish"].find("JSON"), std::string::npos) << problems["rubbish"];
}

TEST_F(HostDriverCatalogTest, Executable_IsFoundWithoutAskingIt) {
  Install("hangs", "echo x >>" + dir_ + "/asked; exec sleep 1000");
  HostDriverCatalog catalog({"/nonexistent", dir_});
  EXPECT_EQ(*catalog.FindExecutable("hangs"), dir_ + "/diskd-driver-hangs");
  EXPECT_FALSE(std::ifstream(dir_ + "/asked").good());
  const absl::Status missing = catalog.FindExecutable("nosuch").status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_NE(missing.message().find(dir_), absl::string_view::npos) << missing;
}

TEST_F(HostDriverCatalogTest, Description_IsAskedForOncePerVersionOfTheFile) {
  Install("good", "echo x >>" + dir_ + "/asked; " + Says("good"));
  HostDriverCatalog catalog({dir_});
  catalog.List();
  catalog.List();
  std::ifstream asked(dir_ + "/asked");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(asked), {}), "x\n");
  Install("good", "exit 4");
  EXPECT_NE(catalog.List()[0].problem(), "");
}

}  // namespace
}  // namespace diskd::agent
