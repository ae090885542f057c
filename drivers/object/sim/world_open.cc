// SPDX-License-Identifier: Apache-2.0
//
// A process opens the volume: on which disks, what it has to find there, and what the history goes
// on with.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "drivers/object/sim/world.h"

namespace diskd::object {

std::shared_ptr<SimDisk> World::NewDisk() {
  auto disk = std::make_shared<SimDisk>(&random_, log_blocks_);
  if (lasting_memory_) disk->GiveMemory(WriteLog::MemoryBytes(options_, disk->size_bytes()));
  return disk;
}

// The cache of the last owner, lost, damaged or as it is; or, on another machine, the one that was
// left there, or none.
std::shared_ptr<SimDisk> World::ChooseCache() {
  if (taking_over_) std::swap(cache_, other_cache_);
  if (cache_ == nullptr || random_.Chance(0.1)) {
    const uint64_t blocks = options_.cache_segment_blocks * random_.Between(12, 20);
    cache_ = random_.Chance(0.6) ? std::make_shared<SimDisk>(&random_, blocks, 8) : nullptr;
  }
  if (cache_ == nullptr) return nullptr;
  RunUntil([this] { return cache_->idle(); }, "the cache of a dead process");
  for (uint64_t i = random_.Chance(0.3) ? random_.Between(1, 60) : 0; i > 0; --i) {
    cache_->FlipABit();
  }
  return cache_;
}

std::unique_ptr<World::Opening> World::StartOpening(std::shared_ptr<SimDisk> disk,
                                                    std::shared_ptr<SimDisk> cache) {
  auto opening = std::make_unique<Opening>();
  opening->node = std::make_unique<Node>(&random_, &store_, std::move(disk), std::move(cache),
                                         volume_, options_);
  opening->node->engine().Open(
      [raw = opening.get()](absl::Status result) { raw->result = std::move(result); });
  return opening;
}

// A process that ends before it has opened the volume: at any point of that. What must be there for
// the next one.
uint64_t World::OpenInVain(const std::shared_ptr<SimDisk>& disk,
                           const std::shared_ptr<SimDisk>& cache, uint64_t at_least) {
  const auto opening = StartOpening(disk, cache);
  uint64_t events = random_.Below(random_.Chance(0.5) ? 60 : 600);
  RunUntil([&] { return opening->done() || events-- == 0; }, "an opening that is killed");
  if (!opening->done()) ++coverage_.killed_openings;
  opening->node.reset();
  if (random_.Chance(0.5)) {
    disk->PowerCut();
    if (cache != nullptr) cache->PowerCut();
    at_least = std::min(at_least, std::max(flushed_, uploaded_));
  }
  RunUntil([&] { return disk->idle() && (cache == nullptr || cache->idle()); },
           "the disks of a dead process");
  return at_least;
}

void World::OpenOn(std::shared_ptr<SimDisk> disk, uint64_t at_least, const char* why) {
  RunUntil([&] { return disk->idle(); }, "the disk of a dead process");
  // They would delete snapshots that the new owner has been seen to have.
  operators_.clear();
  taking_over_ = node_ != nullptr;
  if (!taking_over_) ForgetRequests();
  if (taking_over_ && leased()) DisturbOwner();
  std::vector<std::unique_ptr<Opening>> openings;
  const std::shared_ptr<SimDisk> cache = ChooseCache();
  while (!leased() && ok() && random_.Chance(0.15)) at_least = OpenInVain(disk, cache, at_least);
  openings.push_back(StartOpening(disk, cache));
  if (leased()) AddRivals(openings);
  RunUntil(
      [&] {
        // The old owner goes on while it is taken over.
        if (taking_over_ && random_.Chance(0.05)) SubmitSome(1);
        const auto is_done = [](const auto& opening) { return opening->done(); };
        const auto is_open = [](const auto& opening) { return opening->opened(); };
        return std::any_of(openings.begin(), openings.end(), is_open) ||
               std::all_of(openings.begin(), openings.end(), is_done);
      },
      "opening");
  if (!ok()) return;
  absl::Status status = openings[0]->result.value_or(absl::OkStatus());
  if (leased()) {
    std::unique_ptr<Opening> winner = Winner(openings);
    if (!ok()) return;
    if (winner == nullptr && absl::IsFailedPrecondition(status)) {
      openings.clear();
      return NobodyOpened(status, std::move(disk), at_least, why);
    }
    if (winner != nullptr) {
      openings_in_vain_ = 0;
      status = absl::OkStatus();
      if (taking_over_) ++coverage_.disturbed;
      // Without the log.
      if (winner->node->disk() != disk) at_least = KeptWithoutLog();
      openings[0] = std::move(winner);
    }
  }
  std::unique_ptr<Node> next = std::move(openings[0]->node);
  const uint64_t issued = timeline_.size();
  if (taking_over_) {
    at_least = std::max(at_least, node_->engine().stats().uploaded_sequence);
    if (options_.durability == Durability::kRemote) at_least = std::max(at_least, flushed_);
    zombie_ = std::move(node_);
    ForgetRequests();
    taking_over_ = false;
  }
  node_ = std::move(next);
  if (!status.ok()) {
    if (!lossy_) Violate(absl::StrCat(why, ": open: ", status.ToString()));
    return;
  }
  const uint64_t end = node_->engine().stats().last_sequence;
  Trace(absl::StrCat("opened after ", why, ": ", end, " of ", issued, " writes, at least ",
                     at_least));
  if (end < at_least || end > issued) {
    return Violate(absl::StrCat(why, ": recovered up to write ", end, ", not one of ", at_least,
                                "..", issued));
  }
  zombie_limit_ = end;
  timeline_.Truncate(end);
  flushed_ = std::min(flushed_, end);
  uploaded_ = node_->engine().stats().uploaded_sequence;
  AdoptUnknownSnapshots();
  const uint64_t size = node_->engine().head().size_blocks;
  if (size != timeline_.blocks() && size != new_size_) {
    return Violate(
        absl::StrCat(why, ": the volume has ", size, " blocks instead of ", timeline_.blocks()));
  }
  timeline_.Resize(size);
  size_blocks_ = size;
  new_size_ = 0;
}

// A snapshot whose completion was never answered may exist; it has to be a prefix all the same.
void World::AdoptUnknownSnapshots() {
  std::vector<SnapshotRecord> now;
  for (const SnapshotEntry& entry : node_->engine().head().snapshots) {
    if (entry.deleted) continue;
    const auto same = [&](const SnapshotRecord& r) { return r.id == entry.id; };
    const auto known = std::find_if(snapshots_.begin(), snapshots_.end(), same);
    const auto deleting = std::find_if(deleting_.begin(), deleting_.end(), same);
    if (known != snapshots_.end()) {
      now.push_back(*known);
    } else if (deleting != deleting_.end()) {
      now.push_back(*deleting);
    } else {
      now.push_back({entry.id, timeline_.StateAfter(entry.sequence)});
      now.back().state.resize(entry.size_blocks);
    }
  }
  for (const SnapshotRecord& record : snapshots_) {
    const bool there = std::any_of(now.begin(), now.end(),
                                   [&](const SnapshotRecord& r) { return r.id == record.id; });
    if (!there) Violate(absl::StrCat("snapshot ", record.id, " is gone"));
  }
  snapshots_ = std::move(now);
  deleting_.clear();
}

uint64_t World::KeptWithoutLog() const {
  return options_.durability == Durability::kRemote ? std::max(flushed_, uploaded_) : uploaded_;
}

void World::TakeOver() { OpenOn(NewDisk(), KeptWithoutLog(), "takeover"); }

}  // namespace diskd::object
