// SPDX-License-Identifier: Apache-2.0
//
// The file driver on a block device (a loop device). Exit code 77: not possible here.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/fd.h"
#include "drivers/file/backing.h"
#include "drivers/file/file_driver.h"
#include "drivers/sdk/device/loop_device.h"
#include "drivers/sdk/testing/conformance.h"

namespace diskd::file_driver {
namespace {

// Shared by the tests below and the conformance tests, which overwrite all of it.
class LoopEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    const Fd file(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(ftruncate(file.get(), 16 << 20), 0);
    auto number = sdk::AttachLoop(path_, {});
    ASSERT_TRUE(number.ok()) << number.status();
    number_ = *number;
  }
  void TearDown() override {
    const absl::Status status = sdk::DetachLoop(number_);
    EXPECT_TRUE(status.ok()) << status;
  }
  std::string device() const { return sdk::LoopPath(number_); }
  // A new disk reads as zeroes in the conformance tests; a reused device has to be made so.
  void Clear() const {
    const Fd file(open(path_.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 16 << 20), 0);
  }

 private:
  sdk::TempDir dir_;
  const std::string path_ = dir_.path() + "/backing";
  int number_ = -1;
};

LoopEnvironment* environment;

sdk::VolumeConfig Config(const sdk::TempDir& dir) {
  sdk::VolumeConfig config;
  config.volume_id = "block-device-test";
  config.size_bytes = 16 << 20;
  config.state_dir = dir.path();
  config.parameters["path"] = environment->device();
  return config;
}

TEST(FileOnBlockDevice_Provision, NeitherWritesNorRemoves) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  const std::string written(4096, 'x');
  {
    const Fd device(open(environment->device().c_str(), O_RDWR | O_SYNC | O_CLOEXEC));
    ASSERT_EQ(pwrite(device.get(), written.data(), written.size(), 0), 4096);
  }
  ASSERT_TRUE(Definition().provision(config).ok());
  ASSERT_TRUE(Definition().deprovision(config).ok());
  const Fd device(open(environment->device().c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(device.valid()) << "the node must stay";
  std::string read_back(4096, '\0');
  ASSERT_EQ(pread(device.get(), read_back.data(), read_back.size(), 0), 4096);
  EXPECT_EQ(read_back, written);
}

TEST(FileOnBlockDevice_Provision, TooSmall_IsRefused) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  config.size_bytes = 32 << 20;
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config)));
}

TEST(FileOnBlockDevice_Open, WhileClaimed_IsRefusedAfterTheWait) {
  const Fd holder(open(environment->device().c_str(), O_RDWR | O_EXCL | O_CLOEXEC));
  ASSERT_TRUE(holder.valid());
  auto backing = OpenBacking(environment->device(), false);
  ASSERT_TRUE(backing.ok()) << backing.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ClaimBacking(environment->device(), *backing, absl::Milliseconds(50))));
}

}  // namespace

struct BlockDeviceTraits {
  static const sdk::DriverDefinition& Definition() { return file_driver::Definition(); }
  static std::map<std::string, std::string> Parameters(const std::string&) {
    environment->Clear();
    return {{"path", environment->device()}};
  }
  static constexpr bool kOutlivesProcess = true;
};

}  // namespace diskd::file_driver

namespace diskd::sdk {
INSTANTIATE_TYPED_TEST_SUITE_P(FileOnBlockDevice, DriverConformance,
                               file_driver::BlockDeviceTraits);
}  // namespace diskd::sdk

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0 || access("/dev/loop-control", R_OK | W_OK) != 0) {
    fprintf(stderr, "skipped: needs root and loop devices\n");
    return 77;
  }
  diskd::file_driver::environment = new diskd::file_driver::LoopEnvironment;
  testing::AddGlobalTestEnvironment(diskd::file_driver::environment);
  return RUN_ALL_TESTS();
}
