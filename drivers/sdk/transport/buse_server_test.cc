// SPDX-License-Identifier: Apache-2.0
//
// The kernel module is played by a queue in memory that checks the protocol as the module does.
#include "drivers/sdk/transport/buse_server.h"

#include <sys/eventfd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>

#include "base/fd.h"
#include "drivers/sdk/testing/fake_driver.h"
#include "drivers/sdk/transport/io_buffer.h"
#include "drivers/sdk/transport/queue_threads.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

constexpr uint64_t kSize = 1 << 20;
constexpr uint32_t kDepth = 8;
constexpr uint32_t kSlotBytes = 8192;
constexpr uint32_t kSqOffset = 128;
constexpr uint32_t kCqOffset = kSqOffset + kDepth * sizeof(buse_request);
constexpr uint32_t kDataOffset = 4096;
constexpr uint32_t kMapBytes = kDataOffset + kDepth * kSlotBytes;
constexpr auto kTimeout = std::chrono::seconds(20);

// Shared by the test and the queue's thread.
class FakeKernel {
 public:
  FakeKernel()
      : memory_(*IoBuffer::Allocate(kMapBytes)),
        readable_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  std::byte* memory() { return memory_.data(); }
  std::byte* slot(uint32_t tag) { return memory() + kDataOffset + tag * kSlotBytes; }
  int poll_fd() const { return readable_.get(); }

  // Publishes requests in one go; returns their first generation.
  uint32_t Publish(std::vector<buse_request> requests) {
    std::lock_guard lock(mutex_);
    const uint32_t first = generation_ + 1;
    for (buse_request& request : requests) {
      request.generation = ++generation_;
      ring()[tail_ & (kDepth - 1)] = request;
      ++tail_;
      expected_[request.tag] = request.generation;
    }
    std::atomic_ref(header()->sq_tail).store(tail_, std::memory_order_release);
    eventfd_write(readable_.get(), 1);
    changed_.notify_all();
    return first;
  }

  // Waits for the result of the request with this generation.
  int Result(uint32_t generation) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kTimeout, [&] { return results_.count(generation) != 0; })) {
      ADD_FAILURE() << "no completion of generation " << generation;
      return -ETIMEDOUT;
    }
    return results_[generation];
  }

  bool HasResult(uint32_t generation) {
    std::lock_guard lock(mutex_);
    return results_.count(generation) != 0;
  }

  void EndWith(int error) {
    std::lock_guard lock(mutex_);
    end_ = error;
    eventfd_write(readable_.get(), 1);
    changed_.notify_all();
  }

  int Enter(uint64_t argument) {
    std::unique_lock lock(mutex_);
    TakeCompletions();
    const auto head = static_cast<uint32_t>(argument);
    if (head == tail_ && end_ == 0) {
      eventfd_t ignored;
      eventfd_read(readable_.get(), &ignored);  // fails when it is not readable, as it should be
    }
    if (end_ != 0) return end_;
    if ((argument & BUSE_ENTER_NOWAIT) != 0) return 0;
    // A signal ends the wait of the real module; here a short wait does.
    changed_.wait_for(lock, std::chrono::milliseconds(1),
                      [&] { return head != tail_ || end_ != 0; });
    if (end_ != 0) return end_;
    return head != tail_ ? 0 : EINTR;
  }

 private:
  buse_ring_header* header() { return reinterpret_cast<buse_ring_header*>(memory()); }
  buse_request* ring() { return reinterpret_cast<buse_request*>(memory() + kSqOffset); }

  void TakeCompletions() {
    const uint32_t tail = std::atomic_ref(header()->cq_tail).load(std::memory_order_acquire);
    const auto* ring = reinterpret_cast<buse_completion*>(memory() + kCqOffset);
    for (; cq_head_ != tail; ++cq_head_) {
      const buse_completion& completion = ring[cq_head_ & (kDepth - 1)];
      EXPECT_EQ(expected_[completion.tag], completion.generation) << "tag " << completion.tag;
      EXPECT_EQ(completion.reserved, 0u);
      EXPECT_EQ(completion.reserved1, 0u);
      EXPECT_EQ(results_.count(completion.generation), 0u) << "completed twice";
      results_[completion.generation] = completion.result;
    }
    changed_.notify_all();
  }

  IoBuffer memory_;
  Fd readable_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t tail_ = 0, cq_head_ = 0, generation_ = 100;
  int end_ = 0;
  std::map<uint16_t, uint32_t> expected_;
  std::map<uint32_t, int> results_;
};

class FakeBuseQueue final : public BuseQueue {
 public:
  explicit FakeBuseQueue(FakeKernel& kernel) : kernel_(kernel) {}
  absl::StatusOr<buse_attach> Attach(uint32_t queue) override {
    buse_attach attach{};
    attach.queue = queue;
    attach.map_bytes = kMapBytes;
    attach.ring_entries = kDepth;
    attach.queue_depth = kDepth;
    attach.sq_offset = kSqOffset;
    attach.cq_offset = kCqOffset;
    attach.data_offset = kDataOffset;
    return attach;
  }
  absl::StatusOr<std::byte*> Map(size_t) override { return kernel_.memory(); }
  int Enter(uint64_t argument) override { return kernel_.Enter(argument); }
  int poll_fd() const override { return kernel_.poll_fd(); }

 private:
  FakeKernel& kernel_;
};

buse_request Make(uint8_t op, uint16_t tag, uint64_t offset, uint32_t length, uint8_t flags = 0) {
  buse_request request{};
  request.op = op;
  request.tag = tag;
  request.offset = offset;
  request.length = length;
  request.flags = flags;
  request.data_offset = kDataOffset + tag * kSlotBytes;
  return request;
}

class BuseServerTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    Geometry geometry;
    geometry.size_bytes = kSize;
    geometry.discard = true;
    geometry.write_zeroes = true;
    geometry.fua = true;
    driver_ = std::make_unique<FakeDriver>(geometry, GetParam());
    std::vector<std::unique_ptr<QueueTransport>> queues;
    queues.push_back(
        std::make_unique<BuseQueueServer>(std::make_unique<FakeBuseQueue>(kernel_), 0, *driver_));
    auto threads = QueueThreads::Start(std::move(queues));
    ASSERT_TRUE(threads.ok()) << threads.status();
    threads_ = *std::move(threads);
  }
  int Call(const buse_request& request) { return kernel_.Result(kernel_.Publish({request})); }

  FakeKernel kernel_;
  std::unique_ptr<FakeDriver> driver_;
  std::unique_ptr<QueueThreads> threads_;
};

INSTANTIATE_TEST_SUITE_P(SyncAndAsync, BuseServerTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Async" : "Sync"; });

TEST_P(BuseServerTest, WriteThenRead_MovesDataThroughTheSlots) {
  memset(kernel_.slot(3), 0x5a, 4096);
  EXPECT_EQ(Call(Make(BUSE_OP_WRITE, 3, 4096, 4096)), 0);
  EXPECT_EQ(driver_->data[4096], std::byte{0x5a});
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 5, 4096, 4096)), 0);
  EXPECT_EQ(kernel_.slot(5)[4095], std::byte{0x5a});
  EXPECT_EQ(threads_->counters().written_bytes, 4096u);
  EXPECT_EQ(threads_->counters().read_bytes, 4096u);
}

TEST_P(BuseServerTest, RingsWrap_WithoutLossOrRepeat) {
  for (uint32_t round = 0; round < 10 * kDepth; ++round) {
    const auto tag = static_cast<uint16_t>(round % kDepth);
    memset(kernel_.slot(tag), static_cast<int>(round), 512);
    ASSERT_EQ(Call(Make(BUSE_OP_WRITE, tag, 512 * round, 512)), 0);
    ASSERT_EQ(driver_->data[512 * round], static_cast<std::byte>(round));
  }
  EXPECT_EQ(threads_->counters().writes, 10u * kDepth);
}

TEST_P(BuseServerTest, ABatch_IsSubmittedAsOneAndAnsweredWhole) {
  std::vector<buse_request> batch;
  for (uint16_t tag = 0; tag < kDepth; ++tag) {
    batch.push_back(Make(BUSE_OP_READ, tag, 4096 * tag, 4096));
  }
  const int before = driver_->batches;
  const uint32_t first = kernel_.Publish(batch);
  for (uint32_t i = 0; i < kDepth; ++i) EXPECT_EQ(kernel_.Result(first + i), 0);
  EXPECT_EQ(driver_->submitted, static_cast<int>(kDepth));
  EXPECT_EQ(driver_->batches - before, 1);
}

TEST_P(BuseServerTest, Operations_AndTheirFlagsReachTheDriver) {
  EXPECT_EQ(Call(Make(BUSE_OP_WRITE, 0, 0, 512, BUSE_REQ_FUA)), 0);
  EXPECT_TRUE(driver_->last_fua);
  EXPECT_EQ(Call(Make(BUSE_OP_WRITE_ZEROES, 1, 0, 512, BUSE_REQ_NO_UNMAP)), 0);
  EXPECT_EQ(driver_->last_op, Op::kWriteZeroes);
  EXPECT_TRUE(driver_->last_no_unmap);
  EXPECT_FALSE(driver_->last_fua);
  EXPECT_EQ(Call(Make(BUSE_OP_DISCARD, 2, 0, 4096)), 0);
  EXPECT_EQ(driver_->last_op, Op::kDiscard);
  EXPECT_EQ(Call(Make(BUSE_OP_FLUSH, 3, 0, 0)), 0);
  EXPECT_EQ(driver_->flushes, 1);
  EXPECT_EQ(Call(Make(99, 4, 0, 512)), -EOPNOTSUPP);
}

TEST_P(BuseServerTest, Requests_OutsideOrUnaligned_NeverReachTheDriver) {
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 0, kSize, 512)), -EINVAL);
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 1, 100, 512)), -EINVAL);
  buse_request outside = Make(BUSE_OP_READ, 2, 0, 4096);
  outside.data_offset = kMapBytes - 512;
  EXPECT_EQ(Call(outside), -EINVAL);
  EXPECT_EQ(driver_->submitted, 0);
}

TEST_P(BuseServerTest, DriverErrors_BecomeNegativeResults) {
  driver_->fail_with = EIO;
  EXPECT_EQ(Call(Make(BUSE_OP_WRITE, 0, 0, 512)), -EIO);
  EXPECT_EQ(threads_->counters().errors, 1u);
}

TEST_P(BuseServerTest, EndOfTheDevice_EndsServing) {
  kernel_.EndWith(ENODEV);
  while (threads_->running()) std::this_thread::yield();
  threads_->Stop();
}

TEST_P(BuseServerTest, Stop_TellsTheKernelOfEveryAnswer) {
  const uint32_t first = kernel_.Publish({Make(BUSE_OP_READ, 0, 0, 512)});
  while (driver_->submitted == 0) std::this_thread::yield();
  threads_->Stop();
  EXPECT_EQ(kernel_.Result(first), 0);
}

// The second request comes when the first has just been answered, and finds out whether the kernel
// knows that.
class TwoRequests final : public Driver {
 public:
  explicit TwoRequests(FakeKernel& kernel) : kernel_(kernel) {}
  Geometry geometry() const override {
    Geometry geometry;
    geometry.size_bytes = kSize;
    return geometry;
  }
  absl::StatusOr<std::unique_ptr<Queue>> OpenQueue(int, QueueIo& io) override {
    RETURN_IF_ERROR(io.Start());
    return std::make_unique<Served>(*this, io);
  }

  std::atomic<uint32_t> first{0}, second{0};
  std::atomic<bool> known{false};

 private:
  class Served final : public Queue {
   public:
    Served(TwoRequests& driver, QueueIo& io) : driver_(driver), io_(io) {}
    void Submit(Request& request) override {
      if (first_.request != nullptr) {
        driver_.known = driver_.kernel_.HasResult(driver_.first);
        return request.Complete(0);
      }
      first_.request = &request;
      first_.driver = &driver_;
      first_.done = [](IoOperation* operation, int) {
        auto* first = static_cast<First*>(operation);
        first->request->Complete(0);
        first->driver->second = first->driver->kernel_.Publish({Make(BUSE_OP_READ, 1, 0, 512)});
      };
      io_uring_sqe* sqe = io_.Prepare(&first_);
      io_uring_prep_nop(sqe);
      io_.SetOperation(sqe, &first_);
    }

   private:
    struct First : IoOperation {
      Request* request = nullptr;
      TwoRequests* driver = nullptr;
    };
    TwoRequests& driver_;
    QueueIo& io_;
    First first_;
  };

  FakeKernel& kernel_;
};

TEST(BuseServer_AnswersBeforeALoneRequest, AreTold) {
  FakeKernel kernel;
  TwoRequests driver(kernel);
  std::vector<std::unique_ptr<QueueTransport>> queues;
  queues.push_back(
      std::make_unique<BuseQueueServer>(std::make_unique<FakeBuseQueue>(kernel), 0, driver));
  driver.first = 101;  // the kernel's first generation
  auto threads = QueueThreads::Start(std::move(queues));
  ASSERT_TRUE(threads.ok()) << threads.status();
  ASSERT_EQ(kernel.Publish({Make(BUSE_OP_READ, 0, 0, 512)}), driver.first);
  EXPECT_EQ(kernel.Result(driver.first), 0);
  while (driver.second == 0) std::this_thread::yield();
  EXPECT_EQ(kernel.Result(driver.second), 0);
  EXPECT_TRUE(driver.known);
}

// A driver whose reads and writes the server calls without a Request.
class SyncDisk final : public SyncDriver {
 public:
  explicit SyncDisk(bool read_only) : read_only_(read_only) {}
  Geometry geometry() const override {
    Geometry geometry;
    geometry.size_bytes = kSize;
    geometry.read_only = read_only_;
    return geometry;
  }
  int Read(uint64_t offset, absl::Span<std::byte> into) override {
    ++calls;
    memcpy(into.data(), data.data() + offset, into.size());
    return fail_with;
  }
  int Write(uint64_t offset, absl::Span<const std::byte> from, bool fua) override {
    ++calls;
    last_fua = fua;
    memcpy(data.data() + offset, from.data(), from.size());
    return fail_with;
  }
  int Flush() override {
    ++flushes;
    return 0;
  }

  std::vector<std::byte> data = std::vector<std::byte>(kSize);
  std::atomic<int> fail_with{0}, calls{0}, flushes{0};
  std::atomic<bool> last_fua{false};

 private:
  const bool read_only_;
};

class BuseServerSyncDriverTest : public testing::Test {
 protected:
  void Serve(bool read_only) {
    disk_ = std::make_unique<SyncDisk>(read_only);
    std::vector<std::unique_ptr<QueueTransport>> queues;
    queues.push_back(
        std::make_unique<BuseQueueServer>(std::make_unique<FakeBuseQueue>(kernel_), 0, *disk_));
    auto threads = QueueThreads::Start(std::move(queues));
    ASSERT_TRUE(threads.ok()) << threads.status();
    threads_ = *std::move(threads);
  }
  int Call(const buse_request& request) { return kernel_.Result(kernel_.Publish({request})); }

  FakeKernel kernel_;
  std::unique_ptr<SyncDisk> disk_;
  std::unique_ptr<QueueThreads> threads_;
};

TEST_F(BuseServerSyncDriverTest, WriteThenRead_MovesDataAndIsCounted) {
  Serve(/*read_only=*/false);
  memset(kernel_.slot(3), 0x5a, 4096);
  EXPECT_EQ(Call(Make(BUSE_OP_WRITE, 3, 4096, 4096, BUSE_REQ_FUA)), 0);
  EXPECT_TRUE(disk_->last_fua);
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 5, 4096, 4096)), 0);
  EXPECT_EQ(kernel_.slot(5)[4095], std::byte{0x5a});
  EXPECT_EQ(Call(Make(BUSE_OP_FLUSH, 6, 0, 0)), 0);
  EXPECT_EQ(disk_->flushes, 1);
  const CounterValues counters = threads_->counters();
  EXPECT_EQ(counters.writes, 1u);
  EXPECT_EQ(counters.written_bytes, 4096u);
  EXPECT_EQ(counters.reads, 1u);
  EXPECT_EQ(counters.read_bytes, 4096u);
}

TEST_F(BuseServerSyncDriverTest, BadRequests_NeverReachTheDriver) {
  Serve(/*read_only=*/true);
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 0, kSize, 512)), -EINVAL);
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 1, kSize - 512, 1024)), -EINVAL);
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 2, 100, 512)), -EINVAL);
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 3, 0, 0)), -EINVAL);
  EXPECT_EQ(Call(Make(BUSE_OP_WRITE, 4, 0, 512)), -EROFS);
  buse_request outside = Make(BUSE_OP_READ, 5, 0, 4096);
  outside.data_offset = kMapBytes - 512;
  EXPECT_EQ(Call(outside), -EINVAL);
  EXPECT_EQ(disk_->calls, 0);
}

TEST_F(BuseServerSyncDriverTest, DriverErrors_BecomeNegativeResults) {
  Serve(/*read_only=*/false);
  disk_->fail_with = ENOSPC;
  EXPECT_EQ(Call(Make(BUSE_OP_WRITE, 0, 0, 512)), -ENOSPC);
  EXPECT_EQ(Call(Make(BUSE_OP_READ, 1, 0, 512)), -ENOSPC);
  EXPECT_EQ(threads_->counters().errors, 2u);
}

TEST(BuseServer_ImpossibleLayout, IsRefusedBeforeAnythingIsMapped) {
  class BadQueue final : public BuseQueue {
   public:
    absl::StatusOr<buse_attach> Attach(uint32_t) override {
      buse_attach attach{};
      attach.map_bytes = kMapBytes;
      attach.ring_entries = 12;  // not a power of two
      attach.queue_depth = 8;
      return attach;
    }
    absl::StatusOr<std::byte*> Map(size_t) override {
      ADD_FAILURE() << "mapped";
      return absl::InternalError("");
    }
    int Enter(uint64_t) override { return 0; }
    int poll_fd() const override { return -1; }
  };
  Geometry geometry;
  geometry.size_bytes = kSize;
  FakeDriver driver(geometry, false);
  BuseQueueServer server(std::make_unique<BadQueue>(), 0, driver);
  EXPECT_TRUE(absl::IsInternal(server.Open()));
}

}  // namespace
}  // namespace diskd::sdk
