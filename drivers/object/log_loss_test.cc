// SPDX-License-Identifier: Apache-2.0
//
// The driver when its write log is gone: the superblocks, which is as when the file is, or the
// memory.
#include <fcntl.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/boot_id.h"
#include "base/fd.h"
#include "drivers/object/object_driver.h"
#include "drivers/object/testing/test_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr char kWarning[] = "goes back to what is in the store";

// What the driver logs while it lives.
class CapturedLog {
 public:
  CapturedLog() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  bool Has(const std::string& text) const { return text_.str().find(text) != std::string::npos; }

 private:
  std::ostringstream text_;
  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

class LogLossTest : public testing::TestWithParam<char> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Definition().provision(config_).ok());
    const CapturedLog log;
    ExpectFirstBlock(config_, std::byte{0});
    EXPECT_FALSE(log.Has(kWarning)) << "the log was new";
  }
  // Both superblocks become a block of this.
  void DamageSuperblocks() {
    const Fd fd(open(log_.c_str(), O_WRONLY | O_CLOEXEC));
    const std::vector<char> rubbish(2 * 4096, GetParam());
    ASSERT_EQ(pwrite(fd.get(), rubbish.data(), rubbish.size(), 0),
              static_cast<ssize_t>(rubbish.size()));
    ASSERT_EQ(fsync(fd.get()), 0);
  }
  std::string LogContent() const {
    std::ifstream in(log_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  const sdk::TempDir dir_;
  sdk::VolumeConfig config_ = Config(dir_);
  const std::string log_ = dir_.path() + "/object.log";
};

TEST_P(LogLossTest, SuperblocksDamaged_SuccessorIsRefusedAndLeavesTheLogAlone) {
  DamageSuperblocks();
  config_.successor = true;
  const std::string before = LogContent();
  const absl::Status refused = Definition().open(config_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.message().find("detach the volume with --force"), absl::string_view::npos)
      << refused;
  EXPECT_EQ(LogContent(), before);
}

TEST_P(LogLossTest, SuperblocksDamaged_NextOpenWarnsAndGoesBackToTheStore) {
  DamageSuperblocks();
  {
    const CapturedLog log;
    ExpectFirstBlock(config_, std::byte{0});
    EXPECT_TRUE(log.Has(kWarning));
  }
  const CapturedLog log;
  ExpectFirstBlock(config_, std::byte{0});
  EXPECT_FALSE(log.Has(kWarning)) << "it is whole again";
}

// The process before this one has ended without dropping the memory of its log, as a kill ends it,
// and its container is another one now.
class LogMemoryLossTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Definition().provision(config_).ok());
    const CapturedLog log;
    ExpectFirstBlock(config_, std::byte{0});
    EXPECT_FALSE(log.Has(kGone)) << "that one has dropped it";
    std::ofstream(dir_.path() + "/object.memory") << *ReadBootId() << " of another container\n";
  }

  static constexpr char kGone[] = "is gone, though the machine was not restarted";
  const sdk::TempDir dir_;
  const sdk::TempDir memory_{kTmpfs};
  const sdk::TempDir other_memory_{kTmpfs};
  sdk::VolumeConfig config_ = Config(dir_, memory_);
};

TEST_F(LogMemoryLossTest, SuccessorIsRefused) {
  config_.memory_dir = other_memory_.path();
  config_.successor = true;
  const absl::Status refused = Definition().open(config_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.message().find(kGone), absl::string_view::npos) << refused;
  EXPECT_NE(refused.message().find("detach the volume with --force"), absl::string_view::npos);
}

TEST_F(LogMemoryLossTest, NextOpenWarnsAndGoesOn) {
  config_.memory_dir = other_memory_.path();
  {
    const CapturedLog log;
    ExpectFirstBlock(config_, std::byte{0});
    EXPECT_TRUE(log.Has(kGone));
  }
  config_.successor = true;
  ExpectFirstBlock(config_, std::byte{0});
}

TEST_F(LogMemoryLossTest, Deprovision_TakesTheMark) {
  ASSERT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/object.memory"));
}

INSTANTIATE_TEST_SUITE_P(Rubbish, LogLossTest, testing::Values('\x5a', '\0'));

}  // namespace
}  // namespace diskd::object
