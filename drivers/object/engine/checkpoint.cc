// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints and snapshots: what is in the store moves into the tree, and HEAD names its new root.
#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "drivers/object/engine/engine.h"

namespace diskd::object {

bool Engine::CheckpointDue() const {
  return objects_since_checkpoint_ >= options_.checkpoint_objects ||
         delta_.size() >= options_.checkpoint_blocks;
}

Task<void> Engine::CheckpointLoop() {
  while (failure_.ok()) {
    const bool freed = freed_due_ && !collecting_;
    if (!CheckpointDue() && !freed) {
      co_await progress_.Wait();
      continue;
    }
    const absl::Status status = co_await Checkpoint(nullptr);
    if (!status.ok()) co_return;
    if (freed || CollectNow()) {
      objects_since_collect_ = 0;
      freed_blocks_ = 0;
      freed_due_ = false;
      tasks_.Spawn(CollectBeside(/*everything=*/freed));
    }
  }
}

bool Engine::CollectNow() const {
  const int part = static_cast<int>(stored_objects_) / options_.collect_part;
  return options_.collect_every_objects > 0 && !collecting_ &&
         objects_since_collect_ >= std::max(options_.collect_every_objects, part);
}

// Uploads wait for checkpoints and must not wait for a walk over the whole map.
Task<void> Engine::CollectBeside(bool everything) {
  collecting_ = true;
  // Without it the volume goes on and only its space stays.
  absl::Status collected;
  // What the passes themselves store comes behind it: there is always something to move in that.
  const std::string end = ObjectName(volume_, stream_.epoch, stream_.nonce, next_side_);
  do {
    collected = co_await CollectOnce();
  } while (everything && collected.ok() && !collect_after_.empty() && collect_after_ < end);
  if (!collected.ok() && failure_.ok()) {
    SPDLOG_ERROR("volume {}: the collection of garbage has ended early: {}", volume_.Hex(),
                 collected.ToString());
  }
  collecting_ = false;
  progress_.Notify();
}

// A volume that is only emptied stores too few objects for a pass to begin.
void Engine::NoteFreed(uint64_t blocks) {
  if (blocks == 0 || options_.collect_every_objects == 0) return;
  freed_blocks_ = std::min(kManyFreed, freed_blocks_ + blocks);
  const uint64_t object = options_.object_bytes / kBlockBytes;
  const uint64_t part = stored_objects_ * object / options_.freed_part;
  if (freed_timer_ || freed_blocks_ < std::max(object, part)) return;
  freed_timer_ = true;
  environment_.scheduler->After(options_.freed_delay, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    freed_timer_ = false;
    freed_due_ = state_ == EngineState::kServing;
    progress_.Notify();
  });
}

Task<absl::Status> Engine::Checkpoint(HeadKeeper::Edit also, const PagePointer* roll_back_to,
                                      uint64_t truncate_to) {
  const Mutex::Guard guard = co_await checkpoint_mutex_.Lock();
  if (!failure_.ok()) co_return failure_;
  checkpointing_ = true;
  const auto ended = absl::MakeCleanup([this] {
    checkpointing_ = false;
    upload_work_.Notify();
  });
  const struct Checkpoint before = head_.head().checkpoint;
  struct Checkpoint next;
  next.stream = stream_.id;
  next.sequence = confirmed_;
  next.written = uploaded_sequence_;
  const bool same = before.stream == next.stream && before.sequence == next.sequence;
  if (same && moves_.empty() && !also && roll_back_to == nullptr) co_return absl::OkStatus();
  frozen_ = std::move(delta_);
  delta_.clear();
  // Together with the new size, or not at all.
  const uint64_t size_blocks = head_.head().size_blocks;
  if (truncate_to < size_blocks) frozen_.SetZero(truncate_to, size_blocks - truncate_to, {});
  const Moves moves = std::exchange(moves_, {});
  objects_since_checkpoint_ = 0;
  upload_work_.Notify();
  if (roll_back_to == nullptr) {
    MapWriter writer(&tree_, &store_, environment_.scheduler, stream_, &next_side_,
                     head_.head().fanout_bits, options_);
    absl::StatusOr<PagePointer> root =
        co_await writer.Merge(root_, head_.head().size_blocks, frozen_, moves);
    if (!root.ok()) {
      Fail(root.status());
      co_return root.status();
    }
    next.root = *root;
  } else {
    next.root = *roll_back_to;
  }
  const absl::Status status = co_await head_.Update([&](Head& head) {
    head.checkpoint = next;
    NoteEnds(head);
    return also ? also(head) : absl::OkStatus();
  });
  if (!status.ok()) {
    Fail(status);
    co_return status;
  }
  root_ = next.root;
  frozen_.clear();
  ++stats_.checkpoints;
  co_return absl::OkStatus();
}

void Engine::NoteEnds(Head& head) const {
  for (Stream& stream : head.streams) {
    if (const auto end = ends_.find(stream.id); end != ends_.end()) stream.end = end->second;
  }
}

Task<absl::StatusOr<uint64_t>> Engine::Snapshot(std::string name) {
  if (name.empty() || name.size() > kMaxSnapshotNameBytes) {
    co_return absl::InvalidArgumentError(absl::StrCat(
        "a snapshot's name has 1 to ", kMaxSnapshotNameBytes, " bytes, not ", name.size()));
  }
  for (const SnapshotEntry& entry : head_.head().snapshots) {
    if (entry.name == name && !entry.deleted) {
      co_return absl::AlreadyExistsError(absl::StrCat("snapshot ", name, " exists"));
    }
  }
  CO_RETURN_IF_ERROR(co_await WaitUploaded(log_.next_sequence() - 1));
  uint64_t id = 0;
  CO_RETURN_IF_ERROR(co_await Checkpoint([&](Head& head) {
    // The edit may run again on a HEAD that already has it.
    for (const SnapshotEntry& entry : head.snapshots) {
      if (id != 0 && entry.id == id) return absl::OkStatus();
    }
    SnapshotEntry entry;
    entry.id = id = head.next_snapshot_id++;
    entry.name = name;
    entry.sequence = head.checkpoint.written;
    entry.size_blocks = head.size_blocks;
    entry.root = head.checkpoint.root;
    head.snapshots.push_back(std::move(entry));
    return absl::OkStatus();
  }));
  co_return id;
}

Task<absl::Status> Engine::RollBackTo(uint64_t id) {
  const auto gone = [id] { return absl::NotFoundError(absl::StrCat("there is no snapshot ", id)); };
  const SnapshotEntry* entry = head_.head().FindSnapshot(id);
  if (entry == nullptr || entry->deleted) co_return gone();
  const PagePointer root = entry->root;
  const uint64_t size_blocks = entry->size_blocks;
  CO_RETURN_IF_ERROR(co_await WaitUploaded(log_.next_sequence() - 1));
  CO_RETURN_IF_ERROR(co_await Checkpoint(
      [id, size_blocks, gone](Head& head) {
        // Deleted meanwhile, from another node: what it named may be collected.
        const SnapshotEntry* still = head.FindSnapshot(id);
        if (still == nullptr || still->deleted) return gone();
        head.size_blocks = size_blocks;
        return absl::OkStatus();
      },
      &root));
  NoteFreed(kManyFreed);
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::ResizeTo(uint64_t size_blocks) {
  if (size_blocks == 0) co_return absl::InvalidArgumentError("a volume can't have no blocks");
  // What was written behind a new end must be behind us when that is zeroed.
  CO_RETURN_IF_ERROR(co_await WaitUploaded(log_.next_sequence() - 1));
  const uint64_t before = head_.head().size_blocks;
  CO_RETURN_IF_ERROR(co_await Checkpoint(
      [size_blocks](Head& head) {
        head.size_blocks = size_blocks;
        return absl::OkStatus();
      },
      nullptr, size_blocks));
  NoteFreed(before - std::min(before, size_blocks));
  co_return absl::OkStatus();
}

Task<absl::StatusOr<DiffPage>> Engine::DiffNow(uint64_t from, uint64_t to, Lba begin,
                                               size_t max_extents) {
  if (to == 0) {
    CO_RETURN_IF_ERROR(co_await WaitUploaded(log_.next_sequence() - 1));
    CO_RETURN_IF_ERROR(co_await Checkpoint(nullptr));
  }
  if (!failure_.ok()) co_return failure_;
  const ReadBarrier::Reader reader(&object_readers_);
  PagePointer roots[2] = {{}, root_};
  uint64_t size_blocks = head_.head().size_blocks;
  const uint64_t ids[2] = {from, to};
  for (int i = 0; i < 2; ++i) {
    if (ids[i] == 0) continue;
    const SnapshotEntry* entry = head_.head().FindSnapshot(ids[i]);
    if (entry == nullptr || entry->deleted) {
      co_return absl::NotFoundError(absl::StrCat("there is no snapshot ", ids[i]));
    }
    roots[i] = entry->root;
    if (i == 1) size_blocks = entry->size_blocks;
  }
  co_return co_await DiffRoots(&tree_, Lane::kRead, roots[0], roots[1], size_blocks, begin,
                               max_extents);
}

}  // namespace diskd::object
