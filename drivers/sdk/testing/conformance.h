// SPDX-License-Identifier: Apache-2.0
//
// What every driver that keeps data must do. A driver's test instantiates it:
//
//   struct MyTraits {
//     static const sdk::DriverDefinition& Definition();
//     static std::map<std::string, std::string> Parameters(const std::string& directory);
//     static constexpr bool kOutlivesProcess = true;  // data is there after close and open
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(My, DriverConformance, MyTraits);
#ifndef DISKD_DRIVERS_SDK_TESTING_CONFORMANCE_H_
#define DISKD_DRIVERS_SDK_TESTING_CONFORMANCE_H_

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "drivers/sdk/geometry.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "drivers/sdk/testing/test_disk.h"
#include "gtest/gtest.h"

namespace diskd::sdk {

template <typename Traits>
class DriverConformance : public testing::Test {
 protected:
  static constexpr uint64_t kSize = 8 << 20;

  void SetUp() override {
    static std::atomic<int> counter{0};
    config_.volume_id = absl::StrCat("conformance-", getpid(), "-", ++counter);
    config_.size_bytes = kSize;
    config_.state_dir = dir_.path() + "/state";
    ASSERT_EQ(mkdir(config_.state_dir.c_str(), 0700), 0);
    config_.parameters = Traits::Parameters(dir_.path());
    if (definition_.provision != nullptr) {
      const absl::Status status = definition_.provision(config_);
      ASSERT_TRUE(status.ok()) << status;
    }
    OpenDisk();
  }

  void TearDown() override {
    CloseDisk();
    if (definition_.deprovision != nullptr) {
      EXPECT_TRUE(definition_.deprovision(config_).ok());
      EXPECT_TRUE(definition_.deprovision(config_).ok()) << "removing twice must succeed";
    }
  }

  void OpenDisk() {
    auto driver = definition_.open(config_);
    ASSERT_TRUE(driver.ok()) << driver.status();
    driver_ = *std::move(driver);
    disk_ = std::make_unique<TestDisk>(*driver_);
    const absl::Status status = disk_->Open();
    ASSERT_TRUE(status.ok()) << status;
    block_ = driver_->geometry().logical_block_bytes;
  }

  void CloseDisk() {
    disk_.reset();
    driver_.reset();
  }

  std::vector<std::byte> Random(size_t bytes) {
    std::vector<std::byte> data(bytes);
    for (std::byte& b : data) b = static_cast<std::byte>(random_());
    return data;
  }

  void ExpectContents(const std::vector<std::byte>& model) {
    std::vector<std::byte> data(1 << 20);
    for (uint64_t offset = 0; offset < model.size(); offset += data.size()) {
      ASSERT_EQ(disk_->Read(offset, data), 0);
      ASSERT_EQ(memcmp(data.data(), model.data() + offset, data.size()), 0) << "at " << offset;
    }
  }

  // A random change of disk and model alike.
  void Change(std::vector<std::byte>& model) {
    const uint64_t blocks = kSize / block_;
    const uint64_t first = random_() % blocks;
    const uint64_t count = 1 + random_() % std::min<uint64_t>(blocks - first, 256);
    const uint64_t offset = first * block_;
    const uint32_t length = static_cast<uint32_t>(count * block_);
    const bool zeroes = driver_->geometry().write_zeroes && random_() % 4 == 0;
    if (zeroes) {
      TestRequest request(Op::kWriteZeroes, offset, length);
      request.no_unmap = random_() % 2 == 0;
      request.fua = random_() % 4 == 0;
      ASSERT_EQ(disk_->Run(request), 0);
      std::fill_n(model.begin() + offset, length, std::byte{0});
    } else {
      const std::vector<std::byte> data = Random(length);
      ASSERT_EQ(disk_->Write(offset, data, random_() % 8 == 0), 0);
      std::copy(data.begin(), data.end(), model.begin() + offset);
    }
  }

  TempDir dir_;
  const DriverDefinition& definition_ = Traits::Definition();
  VolumeConfig config_;
  std::mt19937 random_{20240607};
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<TestDisk> disk_;
  uint32_t block_ = 0;
};

TYPED_TEST_SUITE_P(DriverConformance);

TYPED_TEST_P(DriverConformance, Geometry_OfAnOpenVolume_IsPossibleAndAsAsked) {
  const Geometry geometry = this->driver_->geometry();
  EXPECT_TRUE(CheckGeometry(geometry).ok()) << CheckGeometry(geometry);
  EXPECT_EQ(geometry.size_bytes, this->config_.size_bytes);
  EXPECT_FALSE(geometry.read_only);
}

TYPED_TEST_P(DriverConformance, Read_OfANewDisk_GivesZeroes) {
  this->ExpectContents(std::vector<std::byte>(this->kSize));
}

TYPED_TEST_P(DriverConformance, RandomChanges_OneByOne_ReadBackAsWritten) {
  std::vector<std::byte> model(this->kSize);
  for (int i = 0; i < 200; ++i) ASSERT_NO_FATAL_FAILURE(this->Change(model));
  ASSERT_EQ(this->disk_->Run(TestRequest(Op::kFlush, 0, 0)), 0);
  this->ExpectContents(model);
}

TYPED_TEST_P(DriverConformance, ManyInFlight_OnDistinctRanges_AreEachAnsweredOnce) {
  constexpr uint32_t kBytes = 64 * 1024;
  std::vector<std::byte> model(this->kSize);
  std::vector<std::unique_ptr<TestRequest>> requests;
  std::vector<TestRequest*> pointers;
  AlignedBuffer buffer(kBytes * TestDisk::kDepth);
  const std::vector<std::byte> data = this->Random(kBytes * TestDisk::kDepth);
  memcpy(buffer.data(), data.data(), data.size());
  for (int i = 0; i < TestDisk::kDepth; ++i) {
    const uint64_t offset = uint64_t{kBytes} * 2 * i;
    requests.push_back(
        std::make_unique<TestRequest>(Op::kWrite, offset, kBytes, buffer.data() + kBytes * i));
    pointers.push_back(requests.back().get());
    std::copy_n(data.begin() + kBytes * i, kBytes, model.begin() + offset);
  }
  this->disk_->Run(pointers);
  for (const auto& request : requests) {
    EXPECT_EQ(request->completions, 1);
    EXPECT_EQ(request->error, 0);
  }
  this->ExpectContents(model);
}

TYPED_TEST_P(DriverConformance, Discard_OfWrittenData_LeavesOldDataOrZeroesAndNothingAround) {
  if (!this->driver_->geometry().discard) GTEST_SKIP() << "the driver has no discard";
  const std::vector<std::byte> old = this->Random(256 * 1024);
  ASSERT_EQ(this->disk_->Write(0, old), 0);
  const uint32_t from = 64 * 1024 + this->block_, length = 128 * 1024 - 2 * this->block_;
  ASSERT_EQ(this->disk_->Run(TestRequest(Op::kDiscard, from, length)), 0);
  std::vector<std::byte> now(old.size());
  ASSERT_EQ(this->disk_->Read(0, now), 0);
  for (size_t i = 0; i < now.size(); i += this->block_) {
    const bool kept = memcmp(now.data() + i, old.data() + i, this->block_) == 0;
    const bool inside = i >= from && i < from + length;
    const bool zero = std::all_of(now.begin() + i, now.begin() + i + this->block_,
                                  [](std::byte b) { return b == std::byte{0}; });
    ASSERT_TRUE(kept || (inside && zero)) << "at " << i;
  }
}

TYPED_TEST_P(DriverConformance, LastBlock_IsThere) {
  const std::vector<std::byte> data = this->Random(this->block_);
  ASSERT_EQ(this->disk_->Write(this->kSize - this->block_, data), 0);
  std::vector<std::byte> now(this->block_);
  ASSERT_EQ(this->disk_->Read(this->kSize - this->block_, now), 0);
  EXPECT_EQ(now, data);
}

TYPED_TEST_P(DriverConformance, Reopen_AfterFlush_KeepsData) {
  if (!TypeParam::kOutlivesProcess) GTEST_SKIP() << "the driver's data goes with its process";
  std::vector<std::byte> model(this->kSize);
  for (int i = 0; i < 50; ++i) ASSERT_NO_FATAL_FAILURE(this->Change(model));
  ASSERT_EQ(this->disk_->Run(TestRequest(Op::kFlush, 0, 0)), 0);
  this->CloseDisk();
  if (this->definition_.provision != nullptr) {
    const absl::Status again = this->definition_.provision(this->config_);
    EXPECT_TRUE(again.ok()) << "provisioning again must succeed and change nothing: " << again;
  }
  ASSERT_NO_FATAL_FAILURE(this->OpenDisk());
  this->ExpectContents(model);
}

TYPED_TEST_P(DriverConformance, ReadOnly_Open_RefusesWritesAndReads) {
  if (!TypeParam::kOutlivesProcess) GTEST_SKIP() << "the driver's data goes with its process";
  const std::vector<std::byte> data = this->Random(this->block_);
  ASSERT_EQ(this->disk_->Write(0, data), 0);
  this->CloseDisk();
  this->config_.read_only = true;
  ASSERT_NO_FATAL_FAILURE(this->OpenDisk());
  EXPECT_TRUE(this->driver_->geometry().read_only);
  EXPECT_NE(this->disk_->Write(0, this->Random(this->block_)), 0);
  std::vector<std::byte> now(this->block_);
  ASSERT_EQ(this->disk_->Read(0, now), 0);
  EXPECT_EQ(now, data);
}

REGISTER_TYPED_TEST_SUITE_P(DriverConformance, Geometry_OfAnOpenVolume_IsPossibleAndAsAsked,
                            Read_OfANewDisk_GivesZeroes, RandomChanges_OneByOne_ReadBackAsWritten,
                            ManyInFlight_OnDistinctRanges_AreEachAnsweredOnce,
                            Discard_OfWrittenData_LeavesOldDataOrZeroesAndNothingAround,
                            LastBlock_IsThere, Reopen_AfterFlush_KeepsData,
                            ReadOnly_Open_RefusesWritesAndReads);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TESTING_CONFORMANCE_H_
