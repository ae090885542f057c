// SPDX-License-Identifier: Apache-2.0
//
// What the clients of a simulated volume do.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/sim/world.h"

namespace diskd::object {
namespace {

constexpr uint64_t kMaxInFlight = 16;
constexpr size_t kMaxSnapshots = 4;
constexpr uint64_t kMinSize = 12;
constexpr uint64_t kUsualSize = 400;  // at most; what takes longer to look at is made now and then
constexpr uint64_t kMostSize = 2000;

}  // namespace

void World::SubmitSome(uint64_t count) {
  const bool together = random_.Chance(0.5);
  for (uint64_t i = 0; ok() && i < count && in_flight_ < kMaxInFlight; ++i) {
    if (node_->process()->paused) return;
    if (node_->engine().state() != EngineState::kServing) return;
    const bool more = together && i + 1 < count && in_flight_ + 1 < kMaxInFlight;
    const uint64_t kind = random_.Below(100);
    if (kind < 65) {
      SubmitWrite(more);
    } else if (kind < 100 - flushes_) {
      SubmitRead(more);
    } else {
      SubmitFlush(more);
    }
  }
}

void World::SubmitWrite(bool more) {
  const bool zero = random_.Chance(0.15);
  const bool fua = random_.Below(100) < flushes_ / 3;
  Timeline::Write write;
  write.stamp = zero ? 0 : next_stamp_++;
  write.blocks = std::min(size_blocks_, random_.Between(1, zero ? size_blocks_ : max_write_));
  // Half of them in a small part, so that blocks are overwritten often.
  const uint64_t part = random_.Chance(0.5) ? std::max<uint64_t>(write.blocks, 8) : size_blocks_;
  write.lba = random_.Below(std::min(part, size_blocks_) - write.blocks + 1);
  auto buffer = std::make_shared<AlignedBuffer>(write.blocks);
  for (uint64_t i = 0; i < write.blocks; ++i) {
    FillBlock(buffer->block(i), write.stamp, write.lba + i);
  }
  const uint64_t sequence = timeline_.Add(write);
  ++coverage_.writes;
  ++in_flight_;
  node_->engine().Submit({zero ? RequestKind::kZero : RequestKind::kWrite, fua, write.lba,
                          write.blocks, buffer->block(0),
                          [this, buffer, sequence, fua, session = session_](absl::Status status) {
                            if (session != session_) return StaleAnswer(status);
                            --in_flight_;
                            if (!status.ok()) {
                              if (!Tolerated(status))
                                Violate(absl::StrCat("write: ", status.ToString()));
                              return;
                            }
                            timeline_.Acknowledge(sequence);
                            // Writes before it are covered too: the log is written in order.
                            if (fua) flushed_ = std::max(flushed_, sequence);
                          }},
                         more);
}

void World::SubmitFlush(bool more) {
  ++in_flight_;
  node_->engine().Submit(
      {RequestKind::kFlush, false, 0, 0, nullptr,
       [this, covered = timeline_.acknowledged(), session = session_](absl::Status status) {
         if (session != session_) return StaleAnswer(status);
         --in_flight_;
         if (!status.ok()) {
           if (!Tolerated(status)) Violate(absl::StrCat("flush: ", status.ToString()));
           return;
         }
         flushed_ = std::max(flushed_, covered);
       }},
      more);
}

void World::SubmitRead(bool more) {
  const uint64_t blocks = random_.Between(1, std::min<uint64_t>(size_blocks_, 12));
  // Some follow each other.
  const Lba lba = random_.Chance(0.6) && next_read_ + blocks <= size_blocks_
                      ? next_read_
                      : random_.Below(size_blocks_ - blocks + 1);
  next_read_ = lba + blocks;
  auto buffer = std::make_shared<AlignedBuffer>(blocks);
  ++in_flight_;
  node_->engine().Submit(
      {RequestKind::kRead, false, lba, blocks, buffer->block(0),
       [=, this, floor = timeline_.acknowledged(), session = session_](absl::Status status) {
         if (session != session_) return StaleAnswer(status);
         --in_flight_;
         if (!status.ok()) {
           if (!Tolerated(status)) Violate(absl::StrCat("read: ", status.ToString()));
           return;
         }
         for (uint64_t i = 0; i < blocks; ++i) {
           const Stamp stamp = ReadStamp(buffer->block(i), lba + i);
           if (!timeline_.Readable(lba + i, stamp, floor)) {
             return Violate(absl::StrCat("read of block ", lba + i, " gives ", stamp,
                                         ", behind write ", floor));
           }
         }
       }},
      more);
}

// With fencing=cas its answers are nobody's business any more; what it does to the store is.
void World::SubmitToZombie() {
  Engine& engine = zombie_->engine();
  if (engine.state() != EngineState::kServing || zombie_->process()->paused) return;
  const Lba lba = random_.Below(size_blocks_);
  auto buffer = std::make_shared<AlignedBuffer>(1);
  FillBlock(buffer->block(0), next_stamp_++, lba);
  engine.Submit({RequestKind::kWrite, false, lba, 1, buffer->block(0),
                 [this, buffer](absl::Status status) { StaleAnswer(status); }});
  if (random_.Chance(0.1)) {
    engine.CreateSnapshot(absl::StrCat("z", snapshot_names_++), [](absl::StatusOr<uint64_t>) {});
  }
  if (random_.Chance(0.1)) engine.Collect([](absl::Status) {});
}

void World::StartSnapshot() {
  if (snapshot_running_ || snapshots_.size() >= kMaxSnapshots ||
      node_->engine().state() != EngineState::kServing) {
    return;
  }
  snapshot_running_ = true;
  node_->engine().CreateSnapshot(
      absl::StrCat("s", snapshot_names_++),
      [this, floor = timeline_.acknowledged(), session = session_](absl::StatusOr<uint64_t> id) {
        if (session != session_) return;
        snapshot_running_ = false;
        if (!id.ok()) {
          if (!Tolerated(id.status())) Violate(absl::StrCat("snapshot: ", id.status().ToString()));
          return;
        }
        for (const SnapshotEntry& entry : node_->engine().head().snapshots) {
          if (entry.id != *id) continue;
          Trace(absl::StrCat("snapshot ", *id, " at ", entry.sequence));
          if (entry.sequence < floor || entry.sequence > timeline_.size()) {
            Violate(absl::StrCat("snapshot at ", entry.sequence, ", not in ", floor, "..",
                                 timeline_.size()));
            return;
          }
          ++coverage_.snapshots;
          snapshots_.push_back({*id, timeline_.StateAfter(entry.sequence)});
          snapshots_.back().state.resize(entry.size_blocks);
        }
      });
}

void World::StartSnapshotDelete() {
  if (snapshots_.empty() || node_->engine().state() != EngineState::kServing) return;
  const size_t index = random_.Below(snapshots_.size());
  const uint64_t id = snapshots_[index].id;
  Trace(absl::StrCat("delete snapshot ", id));
  deleting_.push_back(snapshots_[index]);
  snapshots_.erase(snapshots_.begin() + static_cast<ptrdiff_t>(index));
  auto done = [this, session = session_](absl::Status status) {
    if (session == session_ && !Tolerated(status)) {
      Violate(absl::StrCat("delete snapshot: ", status.ToString()));
    }
  };
  if (leased() || random_.Chance(0.5)) return node_->engine().DeleteSnapshot(id, done);
  operators_.push_back(std::make_unique<Operator>(&random_, &store_, options_));
  operators_.back()->volumes().DeleteSnapshot(volume_, id, done);
}

void World::StartCollect() {
  if (collecting_ || node_->engine().state() != EngineState::kServing) return;
  collecting_ = true;
  node_->engine().Collect([this, session = session_](absl::Status status) {
    if (session != session_) return;
    collecting_ = false;
    if (!Tolerated(status)) Violate(absl::StrCat("collect: ", status.ToString()));
  });
}

void World::RollBack() {
  if (snapshots_.empty()) return;
  const auto serves = [&] { return node_->engine().state() == EngineState::kServing; };
  // A resize that has failed with the engine, for an object that was lost, stays under way.
  RunUntil([&] { return !serves() || (in_flight_ == 0 && !snapshot_running_ && new_size_ == 0); },
           "requests before a rollback");
  if (!ok() || !serves()) return;
  const SnapshotRecord& record = snapshots_[random_.Below(snapshots_.size())];
  bool done = false;
  Trace(absl::StrCat("roll back to ", record.id));
  node_->engine().RollBack(record.id, [&](absl::Status status) {
    done = true;
    if (!Tolerated(status)) Violate(absl::StrCat("rollback: ", status.ToString()));
  });
  RunUntil([&] { return done; }, "rolling back");
  timeline_.Overwrite(record.state);
  size_blocks_ = record.state.size();
  ++coverage_.rollbacks;
  // It is in the store.
  flushed_ = uploaded_ = timeline_.size();
}

void World::StartResize() {
  if (new_size_ != 0 || node_->engine().state() != EngineState::kServing) return;
  const uint64_t usual = std::min(size_blocks_, kUsualSize);
  // By several levels of the map, at times.
  const uint64_t size =
      size_blocks_ <= kUsualSize && random_.Chance(0.15)
          ? std::min(kMostSize, size_blocks_ * random_.Between(10, 30))
          : random_.Between(std::max(kMinSize, usual / 2), std::min(kUsualSize, usual * 2));
  if (size == size_blocks_) return;
  if (size < size_blocks_) {
    RunUntil([&] { return in_flight_ == 0; }, "requests before shrinking");
    if (!ok() || node_->engine().state() != EngineState::kServing) return;
    size_blocks_ = size;
  }
  Trace(absl::StrCat("resize from ", timeline_.blocks(), " to ", size));
  new_size_ = size;
  node_->engine().Resize(size, [this, size, session = session_](absl::Status status) {
    if (session != session_) return;
    if (!status.ok()) {
      if (!Tolerated(status)) Violate(absl::StrCat("resize: ", status.ToString()));
      return;
    }
    ++coverage_.resizes;
    timeline_.Resize(size);
    size_blocks_ = size;
    new_size_ = 0;
  });
}

void World::LoseAnObject() {
  if (store_.LoseObject("/head")) lossy_ = true;
}

}  // namespace diskd::object
