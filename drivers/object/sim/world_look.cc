// SPDX-License-Identifier: Apache-2.0
//
// What diffs and checks say, against what is known.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/sim/world.h"

namespace diskd::object {

// Every changed block is told, with its kind; what is told and has not changed is only counted.
void World::VerifyDiff(uint64_t from, const DiskState& old, uint64_t to, const DiskState& now) {
  std::vector<int> told(now.size(), -1);  // 0: zeros
  const size_t max_extents = random_.Between(1, 40);
  // The volume itself only its owner knows.
  const bool owner = to == 0 || random_.Chance(0.5);
  Operator process(&random_, &store_, options_);
  for (Lba next = 0; ok() && next < now.size();) {
    bool ended = false;
    auto done = [&](absl::StatusOr<DiffPage> page) {
      ended = true;
      if (!page.ok()) return Violate(absl::StrCat("diff: ", page.status().ToString()));
      if (page->size_blocks != now.size() || page->next <= next ||
          page->extents.size() > max_extents) {
        return Violate("diff: an impossible page");
      }
      for (const ChangedExtent& extent : page->extents) {
        if (extent.lba < next || extent.lba + extent.blocks > page->next) {
          return Violate("diff: an extent outside its page");
        }
        for (Lba lba = extent.lba; lba < extent.lba + extent.blocks; ++lba) {
          told[lba] = extent.zero ? 0 : 1;
        }
      }
      next = page->next;
    };
    if (owner) {
      node_->engine().Diff(from, to, next, max_extents, done);
    } else {
      process.volumes().Diff(volume_, from, to, next, max_extents, done);
    }
    RunUntil([&] { return ended; }, "a diff");
  }
  if (!ok()) return;
  ++coverage_.diffs;
  for (Lba lba = 0; lba < now.size(); ++lba) {
    const bool changed = (lba < old.size() ? old[lba] : 0) != now[lba];
    coverage_.changed_blocks += changed ? 1 : 0;
    coverage_.told_blocks += told[lba] >= 0 ? 1 : 0;
    if (changed ? told[lba] != (now[lba] == 0 ? 0 : 1) : told[lba] == 0 && now[lba] != 0) {
      return Violate(absl::StrCat("diff from ", from, " to ", to, ": block ", lba, " told as ",
                                  told[lba], ", was ", lba < old.size() ? old[lba] : 0, ", is ",
                                  now[lba]));
    }
  }
}

void World::VerifyDiffs() {
  if (snapshots_.empty() || new_size_ != 0) return;
  const SnapshotRecord a = snapshots_[random_.Below(snapshots_.size())];
  const SnapshotRecord b = snapshots_[random_.Below(snapshots_.size())];
  VerifyDiff(a.id, a.state, b.id, b.state);
  if (ok()) VerifyDiff(0, {}, b.id, b.state);
  if (ok() && in_flight_ == 0) VerifyDiff(a.id, a.state, 0, timeline_.StateAfter(timeline_.size()));
}

// While everybody goes on.
void World::StartCheck() {
  shared_->checks.push_back(std::make_unique<Operator>(&random_, &store_, options_));
  // It may end after this volume is gone.
  auto violate = [shared = shared_.get()](const std::string& what) {
    if (shared->violation.empty()) shared->violation = what;
  };
  shared_->checks.back()->volumes().Check(
      volume_, [shared = shared_.get(), violate, id = volume_](absl::StatusOr<CheckReport> report) {
        if (shared->lossy) return;
        if (absl::IsNotFound(report.status())) return;  // deleted meanwhile
        if (!report.ok()) return violate(absl::StrCat("check: ", report.status().ToString()));
        ++shared->coverage.checks;
        for (const CheckProblem& problem : report->problems) {
          violate(absl::StrCat("check of a sound volume: snapshot ", problem.snapshot, " block ",
                               problem.lba, " ", problem.object, ": ", problem.message));
        }
        if (report->orphan_objects != 0 && !shared->used_again.contains(id)) {
          violate(absl::StrCat("check: orphan ", report->orphans[0]));
        }
      });
}

CheckReport World::CheckNow() {
  Operator process(&random_, &store_, options_);
  CheckReport result;
  bool ended = false;
  process.volumes().Check(volume_, [&](absl::StatusOr<CheckReport> report) {
    ended = true;
    if (!report.ok()) return Violate(absl::StrCat("check: ", report.status().ToString()));
    result = *std::move(report);
  });
  RunUntil([&] { return ended; }, "a check");
  return result;
}

// Whether the map and all the data of the checkpoint and of each snapshot can be read.
bool World::ReadableOffline() {
  Operator process(&random_, &store_, options_);
  std::vector<std::pair<uint64_t, uint64_t>> roots;
  bool ended = false;
  process.volumes().Load(volume_, [&](absl::StatusOr<struct Head> head) {
    ended = true;
    if (!head.ok()) return Violate(absl::StrCat("load: ", head.status().ToString()));
    roots.emplace_back(0, head->size_blocks);
    for (const SnapshotEntry& entry : head->snapshots) {
      if (!entry.deleted) roots.emplace_back(entry.id, entry.size_blocks);
    }
  });
  RunUntil([&] { return ended; }, "loading");
  bool readable = true;
  for (const auto& [snapshot, blocks] : roots) {
    AlignedBuffer buffer(blocks);
    ended = false;
    process.volumes().Read(volume_, snapshot, 0, blocks, buffer.block(0), [&](absl::Status status) {
      ended = true;
      readable &= status.ok();
    });
    RunUntil([&] { return ended; }, "reading offline");
    if (!ok()) return true;
  }
  return readable;
}

// A check of each volume names the damaged object, and no other, if anything needs it.
void World::DamageAndCheck() {
  if (random_.Chance(0.5)) return;
  const std::vector<World*> family = Family();
  for (World* world : family) {
    if (random_.Chance(0.5)) {
      world->node_->engine().Close([](absl::Status) {});
      RunUntil([&] { return world->node_->engine().state() == EngineState::kClosed; }, "closing");
    }
    if (!ok()) return;
    world->uploaded_ = world->node_->engine().stats().uploaded_sequence;
    world->node_.reset();
    world->zombie_.reset();
  }
  LetTimePass();
  store_.faults.damaged = shared_->other_store.faults.damaged = 0;  // what is found is ours
  for (uint64_t i = random_.Between(1, 4); ok() && i > 0; --i) {
    const std::string name = store_.Damage("/head", random_.Chance(0.5));
    if (name.empty()) break;  // nothing is left that a volume could do without
    ++coverage_.damages;
    Trace(absl::StrCat("damage ", name));
    bool found = false;
    for (World* world : family) {
      const CheckReport report = world->CheckNow();
      for (const CheckProblem& problem : report.problems) {
        if (problem.object == name) {
          found = true;
        } else {
          Violate(absl::StrCat("check: ", problem.object, ": ", problem.message, ", but ", name,
                               " is damaged"));
        }
      }
      if (ok() && report.problems.empty() && !world->ReadableOffline()) {
        Violate(absl::StrCat("check has found nothing, but ", name, " is damaged"));
      }
    }
    coverage_.damages_found += found ? 1 : 0;
    store_.Repair();
  }
  for (World* world : family) {
    if (ok()) world->TakeOver();
  }
}

}  // namespace diskd::object
