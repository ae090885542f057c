// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/write_back_log.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "drivers/sdk/testing/test_disk.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kRecord = 256 << 10;
constexpr uint64_t kRecords = 3;  // that differ
constexpr uint64_t kPlenty = uint64_t{1} << 40;

class WriteBackLogTest : public testing::Test {
 protected:
  void Make(uint64_t bytes, uint64_t available_memory = kPlenty) {
    ASSERT_TRUE(MakeLogFile(path_, bytes).ok());
    auto file = OpenLogFile(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    Use(*std::move(file), available_memory);
  }
  void Use(LogFile file, uint64_t available_memory = kPlenty) {
    log_ = std::make_unique<WriteBackLog>(thread_.get(), std::move(file),
                                          [available_memory] { return available_memory; });
    for (uint64_t i = 0; i < kRecords * kRecord; ++i) {
      records_.data()[i] = static_cast<std::byte>(i / kPageBytes + 1);
    }
  }
  std::byte* Record(uint64_t offset) {
    return records_.data() + offset / kRecord % kRecords * kRecord;
  }
  absl::Status Await(const std::function<void(LogDevice::Done)>& start) {
    absl::Status result;
    absl::Notification done;
    thread_->Post([&] {
      start([&](absl::Status status) {
        result = std::move(status);
        done.Notify();
      });
    });
    done.WaitForNotification();
    return result;
  }
  void WriteSome(uint64_t begin, uint64_t bytes) {
    for (uint64_t at = begin; at < begin + bytes; at += kRecord) {
      const absl::Status status = Await([&](auto done) {
        log_->Write(at, {Record(at), kRecord}, done);
      });
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  absl::Status Flush() {
    return Await([this](auto done) { log_->Flush(done); });
  }
  void ExpectWritten(uint64_t begin, uint64_t bytes) {
    sdk::AlignedBuffer buffer(kRecord);
    for (uint64_t at = begin; at < begin + bytes; at += kRecord) {
      ASSERT_TRUE(Await([&](auto done) { log_->Read(at, {buffer.data(), kRecord}, done); }).ok());
      ASSERT_EQ(memcmp(buffer.data(), Record(at), kRecord), 0) << at;
    }
  }
  void AwaitIdle() {
    for (bool idle = false; !idle;) {
      absl::Notification looked;
      thread_->Post([&] {
        idle = thread_->in_flight() == 0;
        looked.Notify();
      });
      looked.WaitForNotification();
      std::this_thread::yield();
    }
  }
  uint64_t InPageCache(uint64_t begin, uint64_t bytes) {
    const Fd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    void* const map =
        mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), static_cast<off_t>(begin));
    std::vector<unsigned char> pages(bytes / kPageBytes);
    EXPECT_EQ(mincore(map, bytes, pages.data()), 0);
    munmap(map, bytes);
    uint64_t resident = 0;
    for (const unsigned char page : pages) resident += page & 1;
    return resident * kPageBytes;
  }

  const sdk::TempDir dir_;
  const std::string path_ = dir_.path() + "/log";
  sdk::AlignedBuffer records_{kRecords * kRecord};
  std::unique_ptr<WriteBackLog> log_;
  std::unique_ptr<EngineThread> thread_ = *EngineThread::Start();  // ends before the log
};

TEST_F(WriteBackLogTest, StreamGoesThroughTheCache_WhatIsNearAFlushPastIt) {
  Make(8 * kMiB);
  WriteSome(0, kMiB);
  EXPECT_EQ(InPageCache(0, kMiB), 0u);
  WriteSome(kMiB, kMiB);
  EXPECT_EQ(InPageCache(kMiB, kMiB), kMiB);
  ExpectWritten(0, 2 * kMiB);
  ASSERT_TRUE(Flush().ok());
  WriteSome(2 * kMiB, kMiB);
  EXPECT_EQ(InPageCache(2 * kMiB, kMiB), 0u);
  ExpectWritten(0, 3 * kMiB);
}

TEST_F(WriteBackLogTest, WhatIsInTheCache_IsThereForTheNextProcess) {
  Make(8 * kMiB);
  WriteSome(0, 3 * kMiB + kRecord);
  AwaitIdle();
  log_.reset();
  auto file = OpenLogFile(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  Use(*std::move(file));
  ExpectWritten(0, 3 * kMiB + kRecord);
}

TEST_F(WriteBackLogTest, MachineShortOfMemory_IsNotAskedForAny) {
  Make(8 * kMiB, WriteBackLog::kEnoughMemory - 1);
  WriteSome(0, 4 * kMiB);
  EXPECT_EQ(InPageCache(0, 4 * kMiB), 0u);
  ExpectWritten(0, 4 * kMiB);
}

TEST_F(WriteBackLogTest, WhatTheCacheDoesNotTake_GoesPastIt) {
  ASSERT_TRUE(MakeLogFile(path_, 8 * kMiB).ok());
  auto file = OpenLogFile(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  file->cached = Fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  Use(*std::move(file));
  WriteSome(0, 4 * kMiB);
  ExpectWritten(0, 4 * kMiB);
}

TEST_F(WriteBackLogTest, MoreAtOnceThanMayBeDirty_IsAllWritten) {
  constexpr uint64_t kBytes = WriteBackLog::kDirtyBytes * 3 / 2;
  Make(kBytes);
  absl::BlockingCounter left(kBytes / kRecord);
  thread_->Post([&] {
    for (uint64_t at = 0; at < kBytes; at += kRecord) {
      log_->Write(at, {Record(at), kRecord}, [&](const absl::Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        left.DecrementCount();
      });
    }
  });
  left.Wait();
  ASSERT_TRUE(Flush().ok());
  ExpectWritten(0, kBytes);
  AwaitIdle();
}

TEST_F(WriteBackLogTest, CacheIsGivenBack) {
  constexpr uint64_t kBytes = 3 * WriteBackLog::kKeptBytes;
  Make(kBytes);
  WriteSome(0, kBytes);
  AwaitIdle();
  EXPECT_GT(InPageCache(0, kBytes), 0u);
  EXPECT_LE(InPageCache(0, kBytes), WriteBackLog::kKeptBytes + WriteBackLog::kPieceBytes);
  ExpectWritten(0, kBytes);
}

// /dev/null takes everything and brings nothing to a disk.
TEST_F(WriteBackLogTest, WriteBackThatFailed_FailsEveryLaterFlushAndWrite) {
  ASSERT_TRUE(MakeLogFile(path_, 8 * kMiB).ok());
  auto file = OpenLogFile(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  file->cached = Fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  Use(*std::move(file));
  WriteSome(0, 2 * kMiB);
  AwaitIdle();
  for (int i = 0; i < 2; ++i) {
    const absl::Status flushed = Flush();
    EXPECT_NE(flushed.message().find("write back"), std::string::npos) << flushed;
    const absl::Status written = Await([this](auto done) {
      log_->Write(0, {Record(0), kRecord}, done);
    });
    EXPECT_EQ(written, flushed);
  }
}

TEST(AvailableMemoryTest, IsSome) { EXPECT_GT(AvailableMemory(), kMiB); }

}  // namespace
}  // namespace diskd::object
