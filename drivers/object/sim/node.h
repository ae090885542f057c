// SPDX-License-Identifier: Apache-2.0
//
// Processes on machines: an engine on a simulated disk and the shared store, or work on volumes
// that nobody serves. Killing one leaves its requests to disk and store under way and drops their
// answers; pausing one keeps them, and everything else that it would do, until it is resumed.
#ifndef DISKD_DRIVERS_OBJECT_SIM_NODE_H_
#define DISKD_DRIVERS_OBJECT_SIM_NODE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/volumes.h"
#include "drivers/object/sim/sim_disk.h"
#include "drivers/object/sim/sim_store.h"

namespace diskd::object {

// How a process is.
struct Process {
  bool alive = true;
  bool paused = false;   // nothing of it runs; its clock goes on
  bool muted = false;    // its beats are lost
  bool cut_off = false;  // from the store
  double clock_rate = 1;
  int asking = 0;     // looks at a claim that are under way
  uint64_t plan = 0;  // what was to be done to it later counts while this is the same
  std::vector<std::function<void()>> held;

  void Run(std::function<void()> fn) {
    if (!alive) return;
    if (!paused) return fn();
    held.push_back(std::move(fn));
  }
};
using ProcessPtr = std::shared_ptr<Process>;

inline void Resume(SimScheduler* world, const ProcessPtr& process) {
  process->paused = false;
  for (auto& fn : std::exchange(process->held, {})) {
    world->After(absl::ZeroDuration(), [process, fn = std::move(fn)] { process->Run(fn); });
  }
}

// Clocks may differ with fencing=lease, as far as it allows.
inline ProcessPtr NewProcess(SimScheduler* world, const Options& options) {
  auto process = std::make_shared<Process>();
  if (options.fencing == Fencing::kLease) {
    process->clock_rate = 0.9955 + 0.001 * static_cast<double>(world->Below(10));
  }
  return process;
}

template <class Result>
std::function<void(Result)> WhileAlive(ProcessPtr process, std::function<void(Result)> done) {
  return [process = std::move(process), done = std::move(done)](Result result) {
    if (!process->paused) {
      if (process->alive) done(std::move(result));
      return;
    }
    process->Run([done, result = std::move(result)] { done(result); });
  };
}

class ProcessScheduler final : public Scheduler {
 public:
  ProcessScheduler(SimScheduler* world, ProcessPtr process)
      : world_(world), process_(std::move(process)) {}
  absl::Duration Now() const override {
    return process_->clock_rate == 1 ? world_->Now() : world_->Now() * process_->clock_rate;
  }
  void After(absl::Duration delay, std::function<void()> fn) override {
    if (process_->clock_rate != 1) delay = delay / process_->clock_rate + absl::Nanoseconds(1);
    world_->After(delay, [process = process_, fn = std::move(fn)] { process->Run(fn); });
  }
  uint64_t Random() override { return world_->Random(); }

 private:
  SimScheduler* const world_;
  const ProcessPtr process_;
};

class ProcessStore final : public Store {
 public:
  ProcessStore(SimScheduler* world, Store* store, ProcessPtr process)
      : world_(world), store_(store), process_(std::move(process)) {}
  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    const bool beat = process_->muted && absl::EndsWith(name, "/beat");
    if (beat || process_->cut_off) return Lose<absl::StatusOr<Etag>>(std::move(done));
    store_->Put(lane, name, std::move(body), std::move(condition),
                WhileAlive(process_, std::move(done)));
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    if (process_->cut_off) return Lose<absl::StatusOr<GetResult>>(std::move(done));
    if (absl::EndsWith(name, "/claim")) {
      ++process_->asking;
      done = [process = process_, done = std::move(done)](absl::StatusOr<GetResult> got) {
        --process->asking;
        done(std::move(got));
      };
    }
    store_->Get(lane, name, range, WhileAlive(process_, std::move(done)));
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    if (process_->cut_off) return Lose<absl::StatusOr<HeadResult>>(std::move(done));
    store_->Head(lane, name, WhileAlive(process_, std::move(done)));
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    if (process_->cut_off) return Lose<absl::StatusOr<ListResult>>(std::move(done));
    store_->List(lane, prefix, after, WhileAlive(process_, std::move(done)));
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    if (process_->cut_off) return Lose<absl::Status>(std::move(done));
    store_->Delete(lane, name, WhileAlive(process_, std::move(done)));
  }

 private:
  template <class Result>
  void Lose(std::function<void(Result)> done) {
    world_->After(absl::Seconds(1), [done = WhileAlive(process_, std::move(done))] {
      done(Result(absl::DeadlineExceededError("no connection")));
    });
  }

  SimScheduler* const world_;
  Store* const store_;
  const ProcessPtr process_;
};

class ProcessLog final : public LogDevice {
 public:
  ProcessLog(LogDevice* disk, ProcessPtr process) : disk_(disk), process_(std::move(process)) {}
  uint64_t size_bytes() const override { return disk_->size_bytes(); }
  // A read must not touch the memory of a dead process.
  void Read(uint64_t offset, absl::Span<std::byte> into, Done done) override {
    auto buffer = std::make_shared<AlignedBuffer>(into.size() / kBlockBytes);
    Done copied = [buffer, into, done](absl::Status status) {
      std::copy(buffer->span().begin(), buffer->span().end(), into.begin());
      done(status);
    };
    disk_->Read(offset, buffer->span(), WhileAlive(process_, std::move(copied)));
  }
  void Write(uint64_t offset, absl::Span<const std::byte> from, Done done) override {
    disk_->Write(offset, from, WhileAlive(process_, std::move(done)));
  }
  void Flush(Done done) override { disk_->Flush(WhileAlive(process_, std::move(done))); }

 private:
  LogDevice* const disk_;
  const ProcessPtr process_;
};

class Node {
 public:
  // `cache`: nullptr: none.
  Node(SimScheduler* scheduler, SimStore* store, std::shared_ptr<SimDisk> disk,
       std::shared_ptr<SimDisk> cache, const Uuid& volume, const Options& options)
      : process_(NewProcess(scheduler, options)),
        disk_(std::move(disk)),
        cache_disk_(std::move(cache)),
        scheduler_(scheduler, process_),
        store_(scheduler, store, process_),
        log_(disk_.get(), process_),
        cache_(cache_disk_.get(), process_) {
    engine_ = std::make_unique<Engine>(
        Environment{&store_, &log_, &scheduler_, cache_disk_ == nullptr ? nullptr : &cache_,
                    disk_->memory()},
        volume, options);
  }
  ~Node() {
    process_->alive = false;
    engine_.reset();
  }

  Engine& engine() { return *engine_; }
  const ProcessPtr& process() const { return process_; }
  const std::shared_ptr<SimDisk>& disk() const { return disk_; }
  const std::shared_ptr<SimDisk>& cache() const { return cache_disk_; }

 private:
  const ProcessPtr process_;
  const std::shared_ptr<SimDisk> disk_;
  const std::shared_ptr<SimDisk> cache_disk_;
  ProcessScheduler scheduler_;
  ProcessStore store_;
  ProcessLog log_;
  ProcessLog cache_;
  std::unique_ptr<Engine> engine_;
};

class Operator {
 public:
  Operator(SimScheduler* scheduler, SimStore* store, const Options& options)
      : process_(NewProcess(scheduler, options)),
        scheduler_(scheduler, process_),
        store_(scheduler, store, process_) {
    volumes_ = std::make_unique<Volumes>(&store_, &scheduler_, options);
  }
  ~Operator() {
    process_->alive = false;
    volumes_.reset();
  }

  Volumes& volumes() { return *volumes_; }
  // Nothing it began is answered any more; what uses it may still be destroyed after this.
  void Kill() { process_->alive = false; }

 private:
  const ProcessPtr process_;
  ProcessScheduler scheduler_;
  ProcessStore store_;
  std::unique_ptr<Volumes> volumes_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_NODE_H_
