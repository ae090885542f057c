// SPDX-License-Identifier: Apache-2.0
//
// Processes on machines: an engine on a simulated disk and the shared store, or work on volumes
// that nobody serves. Killing one leaves its requests to disk and store under way and drops their
// answers.
#ifndef DISKD_DRIVERS_OBJECT_SIM_NODE_H_
#define DISKD_DRIVERS_OBJECT_SIM_NODE_H_

#include <memory>
#include <utility>

#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/volumes.h"
#include "drivers/object/sim/sim_disk.h"
#include "drivers/object/sim/sim_store.h"

namespace diskd::object {

using Alive = std::shared_ptr<bool>;

template <class Result>
std::function<void(Result)> WhileAlive(Alive alive, std::function<void(Result)> done) {
  return [alive = std::move(alive), done = std::move(done)](Result result) {
    if (*alive) done(std::move(result));
  };
}

class ProcessScheduler final : public Scheduler {
 public:
  ProcessScheduler(SimScheduler* world, Alive alive) : world_(world), alive_(std::move(alive)) {}
  absl::Duration Now() const override { return world_->Now(); }
  void After(absl::Duration delay, std::function<void()> fn) override {
    world_->After(delay, [alive = alive_, fn = std::move(fn)] {
      if (*alive) fn();
    });
  }
  uint64_t Random() override { return world_->Random(); }

 private:
  SimScheduler* const world_;
  const Alive alive_;
};

class ProcessStore final : public Store {
 public:
  ProcessStore(Store* store, Alive alive) : store_(store), alive_(std::move(alive)) {}
  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    store_->Put(lane, name, std::move(body), std::move(condition),
                WhileAlive(alive_, std::move(done)));
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    store_->Get(lane, name, range, WhileAlive(alive_, std::move(done)));
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    store_->Head(lane, name, WhileAlive(alive_, std::move(done)));
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    store_->List(lane, prefix, after, WhileAlive(alive_, std::move(done)));
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    store_->Delete(lane, name, WhileAlive(alive_, std::move(done)));
  }

 private:
  Store* const store_;
  const Alive alive_;
};

class ProcessLog final : public LogDevice {
 public:
  ProcessLog(LogDevice* disk, Alive alive) : disk_(disk), alive_(std::move(alive)) {}
  uint64_t size_bytes() const override { return disk_->size_bytes(); }
  // A read must not touch the memory of a dead process.
  void Read(uint64_t offset, absl::Span<std::byte> into, Done done) override {
    auto buffer = std::make_shared<AlignedBuffer>(into.size() / kBlockBytes);
    disk_->Read(offset, buffer->span(), [buffer, into, alive = alive_, done](absl::Status status) {
      if (!*alive) return;
      std::copy(buffer->span().begin(), buffer->span().end(), into.begin());
      done(status);
    });
  }
  void Write(uint64_t offset, absl::Span<const std::byte> from, Done done) override {
    disk_->Write(offset, from, WhileAlive(alive_, std::move(done)));
  }
  void Flush(Done done) override { disk_->Flush(WhileAlive(alive_, std::move(done))); }

 private:
  LogDevice* const disk_;
  const Alive alive_;
};

class Node {
 public:
  // `cache`: nullptr: none.
  Node(SimScheduler* scheduler, SimStore* store, std::shared_ptr<SimDisk> disk,
       std::shared_ptr<SimDisk> cache, const Uuid& volume, const Options& options)
      : disk_(std::move(disk)),
        cache_disk_(std::move(cache)),
        scheduler_(scheduler, alive_),
        store_(store, alive_),
        log_(disk_.get(), alive_),
        cache_(cache_disk_.get(), alive_) {
    engine_ = std::make_unique<Engine>(
        Environment{&store_, &log_, &scheduler_, cache_disk_ == nullptr ? nullptr : &cache_},
        volume, options);
  }
  ~Node() {
    *alive_ = false;
    engine_.reset();
  }

  Engine& engine() { return *engine_; }
  const std::shared_ptr<SimDisk>& disk() const { return disk_; }
  const std::shared_ptr<SimDisk>& cache() const { return cache_disk_; }

 private:
  const Alive alive_ = std::make_shared<bool>(true);
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
      : scheduler_(scheduler, alive_), store_(store, alive_) {
    volumes_ = std::make_unique<Volumes>(&store_, &scheduler_, options);
  }
  ~Operator() {
    *alive_ = false;
    volumes_.reset();
  }

  Volumes& volumes() { return *volumes_; }
  // Nothing it began is answered any more; what uses it may still be destroyed after this.
  void Kill() { *alive_ = false; }

 private:
  const Alive alive_ = std::make_shared<bool>(true);
  ProcessScheduler scheduler_;
  ProcessStore store_;
  std::unique_ptr<Volumes> volumes_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_NODE_H_
