// SPDX-License-Identifier: Apache-2.0
//
// What drivers cost by themselves: their queues driven in this process, as a transport drives them,
// beside files written directly. Prints lines `WHAT WHO VALUE`, one for each round, for
// drivers_report.py.
// usage: driver_costs DIR MEMORY_DIR ROUNDS SECONDS
//   DIR: on the disk that is measured; MEMORY_DIR: on a tmpfs
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "drivers/file/file_driver.h"
#include "drivers/memory/memory_driver.h"
#include "drivers/object/object_driver.h"
#include "drivers/sdk/check.h"
#include "drivers/sdk/ring_queue_io.h"
#include "drivers/sdk/testing/test_disk.h"

namespace diskd {
namespace {

constexpr uint64_t kSize = 256 << 20;
constexpr uint32_t kBlock = 4096;
constexpr uint32_t kChunk = 256 << 10;
constexpr int kDepth = 32;
constexpr int kChunkDepth = 4;
constexpr int kTurns = 8;
// As much is written at once: less than half a write log, so that no driver has to slow down.
constexpr uint64_t kBurst = 384 << 20;
// Small enough for what a volume keeps of its newest writes in memory.
constexpr uint64_t kRecent = 4 << 20;

std::mt19937_64 random_numbers(20261122);

void Require(const absl::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "driver_costs: %s\n", status.ToString().c_str());
  exit(1);
}

void Row(const char* what, const std::string& who, double value) {
  printf("%s %s %.3f\n", what, who.c_str(), value);
  fflush(stdout);
}

double MedianUs(std::vector<absl::Duration> times) {
  sdk::Check(!times.empty(), "nothing was measured");
  const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return absl::ToDoubleMicroseconds(*middle);
}

uint64_t AnyBlock(uint64_t within) { return random_numbers() % (within / kBlock) * kBlock; }

// One queue of a driver; a synchronous one answers at once, and has no io_uring. Thread: one.
class Disk {
 public:
  Disk(const sdk::DriverDefinition& definition, const std::string& dir,
       const std::string& memory_dir, std::map<std::string, std::string> parameters)
      : definition_(definition), io_(kDepth), memory_(kDepth * kChunk) {
    sdk::VolumeConfig& config = config_;
    config.volume_id = absl::StrCat("costs-", definition.name);
    config.size_bytes = kSize;
    config.state_dir = absl::StrCat(dir, "/", definition.name);
    config.memory_dir = absl::StrCat(memory_dir, "/", definition.name);
    config.parameters = std::move(parameters);
    std::filesystem::create_directory(config.state_dir);
    std::filesystem::create_directory(config.memory_dir);
    if (definition.provision != nullptr) Require(definition.provision(config));
    auto driver = definition.open(config);
    Require(driver.status());
    driver_ = std::move(*driver);
    auto queue = driver_->OpenQueue(0, io_);
    Require(queue.status());
    queue_ = std::move(*queue);
    for (size_t i = 0; i < kDepth * kChunk; i += sizeof(uint64_t)) {
      const uint64_t value = random_numbers();
      memcpy(memory_.data() + i, &value, sizeof value);
    }
    Stream(kSize, kChunk, kChunkDepth, /*random=*/false);
  }
  ~Disk() {
    queue_.reset();
    driver_.reset();
    if (definition_.deprovision != nullptr) Require(definition_.deprovision(config_));
  }

  void One(sdk::Op op, uint64_t offset, uint32_t length) {
    sdk::TestRequest request(op, offset, length, op == sdk::Op::kFlush ? nullptr : memory_.data());
    queue_->Submit(request);
    queue_->CommitBatch();
    Wait(request);
  }

  // What is only in a store is in the read cache then.
  void ReadAll() {
    for (uint64_t at = 0; at < kSize; at += kChunk) One(sdk::Op::kRead, at, kChunk);
  }

  // Writes `bytes` in pieces, `depth` at a time, and a flush behind them.
  void Stream(uint64_t bytes, uint32_t piece, int depth, bool random) {
    std::deque<sdk::TestRequest> requests(static_cast<size_t>(depth));
    uint64_t next = 0;
    const auto start = [&](size_t slot) {
      sdk::TestRequest& request = requests[slot];
      request.op = sdk::Op::kWrite;
      request.offset = random ? AnyBlock(kSize) : next % kSize;
      request.length = piece;
      request.data = memory_.data() + slot * piece;
      request.completions = 0;
      queue_->Submit(request);
      next += piece;
    };
    for (size_t i = 0; i < requests.size(); ++i) start(i);
    queue_->CommitBatch();
    while (next < bytes) {
      bool started = false;
      for (size_t i = 0; i < requests.size(); ++i) {
        if (requests[i].completions == 0) continue;
        sdk::Check(requests[i].error == 0, "a write has failed");
        start(i);
        started = true;
      }
      if (started) queue_->CommitBatch();
      if (io_.started()) io_.SubmitAndReap(!started);
    }
    for (sdk::TestRequest& request : requests) Wait(request);
    One(sdk::Op::kFlush, 0, 0);
  }

 private:
  void Wait(const sdk::TestRequest& request) {
    while (request.completions == 0) io_.SubmitAndReap(true);
    sdk::Check(request.error == 0, "a request has failed");
  }

  const sdk::DriverDefinition& definition_;
  sdk::VolumeConfig config_;
  sdk::RingQueueIo io_;
  sdk::AlignedBuffer memory_;
  std::unique_ptr<sdk::Driver> driver_;
  std::unique_ptr<sdk::Queue> queue_;
};

// A file written without a driver: all of it beforehand, or at its end.
class File {
 public:
  File(const std::string& path, bool growing) : growing_(growing), block_(kChunk) {
    unlink(path.c_str());
    fd_ = Fd(open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600));
    sdk::Check(fd_.valid(), "the file can't be created");
    memset(block_.data(), 'x', kChunk);
    for (uint64_t at = 0; !growing && at < kSize; at += kChunk) Write(at, kChunk);
    Flush();
  }
  void One(sdk::Op op, uint64_t offset, uint32_t length) {
    if (op == sdk::Op::kFlush) return Flush();
    if (op == sdk::Op::kWrite) return Write(growing_ ? end_ : offset, length);
    sdk::Check(pread(fd_.get(), block_.data(), length, static_cast<off_t>(offset)) == length,
               "a read has failed");
  }

 private:
  void Write(uint64_t offset, uint32_t length) {
    sdk::Check(pwrite(fd_.get(), block_.data(), length, static_cast<off_t>(offset)) == length,
               "a write has failed");
    end_ = std::max(end_, offset + length);
  }
  void Flush() { sdk::Check(fdatasync(fd_.get()) == 0, "fdatasync has failed"); }

  const bool growing_;
  uint64_t end_ = 0;
  sdk::AlignedBuffer block_;
  Fd fd_;
};

// Something to be timed, beside others.
struct Timed {
  std::string who;
  std::function<void()> operation;
  std::vector<absl::Duration> times;
};

// The disk is slower at one time than at another: each has many short turns.
void TimeInTurns(const char* what, absl::Duration time, std::vector<Timed> all) {
  for (int turn = 0; turn < kTurns; ++turn) {
    for (Timed& timed : all) {
      const absl::Time end = absl::Now() + time / kTurns;
      for (absl::Time begin = absl::Now(); begin < end;) {
        timed.operation();
        const absl::Time now = absl::Now();
        timed.times.push_back(now - begin);
        begin = now;
      }
    }
  }
  for (Timed& timed : all) Row(what, timed.who, MedianUs(std::move(timed.times)));
}

template <class Target>
Timed Durable(const char* who, Target& target) {
  const auto operation = [&target] {
    target.One(sdk::Op::kWrite, AnyBlock(kSize), kBlock);
    target.One(sdk::Op::kFlush, 0, 0);
  };
  return {who, operation, {}};
}

template <class Target>
Timed Read(const char* who, Target& target, uint64_t within = kSize) {
  return {who, [&target, within] { target.One(sdk::Op::kRead, AnyBlock(within), kBlock); }, {}};
}

double BytesPerSecond(Disk& disk, uint32_t piece, int depth, bool random) {
  const absl::Time begin = absl::Now();
  disk.Stream(kBurst, piece, depth, random);
  return static_cast<double>(kBurst) / absl::ToDoubleSeconds(absl::Now() - begin);
}

// Until a volume has nothing left to upload; the next one measures alone.
void Rest() { absl::SleepFor(absl::Seconds(8)); }

void Round(const std::string& dir, absl::Duration time, File& recycled, Disk& memory, Disk& file,
           Disk& object) {
  struct Named {
    const char* name;
    Disk& disk;
  };
  const Named disks[] = {{"memory", memory}, {"file", file}, {"object", object}};
  {
    File growing(dir + "/growing", /*growing=*/true);
    TimeInTurns("durable_us", time,
                {Durable("recycled", recycled), Durable("growing", growing),
                 Durable("memory", memory), Durable("file", file), Durable("object", object)});
  }
  object.Stream(kRecent, kBlock, kDepth, /*random=*/false);
  TimeInTurns("recent_read_us", absl::Seconds(1), {Read("object", object, kRecent)});
  Rest();
  object.ReadAll();
  TimeInTurns("read_us", time,
              {Read("recycled", recycled), Read("memory", memory), Read("file", file),
               Read("object", object)});
  Row("write_rate", "sequential", BytesPerSecond(file, kChunk, kChunkDepth, /*random=*/false));
  for (const auto& [name, disk] : disks) {
    Row("write_rate", name, BytesPerSecond(disk, kBlock, kDepth, /*random=*/true));
    Rest();
  }
}

}  // namespace
}  // namespace diskd

int main(int argc, char** argv) {
  if (argc != 5 || atoi(argv[3]) < 1 || atoi(argv[4]) < 1) {
    fprintf(stderr, "usage: driver_costs DIR MEMORY_DIR ROUNDS SECONDS\n");
    return 2;
  }
  using namespace diskd;
  InitLog("driver_costs", "warning");
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const std::string dir = argv[1];
  File recycled(dir + "/recycled", /*growing=*/false);
  const std::string memory_dir = argv[2];
  Disk memory(memory_driver::Definition(), dir, memory_dir, {});
  Disk file(file_driver::Definition(), dir, memory_dir, {});
  Disk object(object::Definition(), dir, memory_dir,
              {{"store", "dir:" + dir + "/store"}, {"log_mib", "1024"}, {"cache_mib", "512"}});
  Rest();
  for (int i = 0; i < atoi(argv[3]); ++i) {
    Round(dir, absl::Seconds(atoi(argv[4])), recycled, memory, file, object);
  }
  return 0;
}
