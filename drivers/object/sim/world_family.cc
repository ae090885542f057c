// SPDX-License-Identifier: Apache-2.0
//
// The clones of a simulated volume: each is a whole world of its own, with owners, crashes,
// snapshots and clones, in the same store.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "drivers/object/sim/world.h"

namespace diskd::object {
namespace {

constexpr size_t kMaxClones = 3;
constexpr int kMaxKills = 5;

}  // namespace

World& World::AnyVolume() {
  const uint64_t index = random_.Below(shared_->clones.size() + 1);
  return index == 0 ? *this : *shared_->clones[index - 1];
}

absl::Status World::Operate(
    const char* what,
    const std::function<void(Volumes&, std::function<void(absl::Status)>)>& call) {
  for (int kills = 0;; ++kills) {
    Operator process(&random_, &store_, options_);
    bool ended = false;
    bool killed = false;
    absl::Status result;
    call(process.volumes(), [&](absl::Status status) {
      result = std::move(status);
      ended = true;
    });
    RunUntil(
        [&] {
          killed = kills < kMaxKills && random_.Chance(0.003);
          if (!ended && node_ && random_.Chance(0.1)) {
            SubmitSome(1);
            if (random_.Chance(0.1)) StartSnapshotDelete();
            if (random_.Chance(0.1)) StartSnapshot();
            if (random_.Chance(0.1)) StartCollect();
          }
          return ended || killed;
        },
        what);
    if (ended || !ok()) return result;
    ++coverage_.broken_off;
  }
}

void World::MakeClone(World& source) {
  if (leased()) return;
  if (source.snapshots_.empty() || shared_->clones.size() >= kMaxClones || !source.node_) return;
  const SnapshotRecord record = source.snapshots_[random_.Below(source.snapshots_.size())];
  auto clone = std::unique_ptr<World>(new World(shared_, &source.store_, sabotage_, verbose_,
                                                record.state.size(), source.fanout_bits_));
  Trace(absl::StrCat("clone ", record.id, " of ", source.volume_.Hex(), " to ",
                     clone->volume_.Hex()));
  const absl::Status status =
      source.Operate("cloning", [&](Volumes& volumes, std::function<void(absl::Status)> done) {
        volumes.Clone(source.volume_, record.id, clone->volume_, std::move(done));
      });
  if (!ok()) return;
  if (!status.ok()) {
    const bool there = std::any_of(source.snapshots_.begin(), source.snapshots_.end(),
                                   [&](const SnapshotRecord& r) { return r.id == record.id; });
    if (!lossy_ && (there || !absl::IsNotFound(status))) {
      Violate(absl::StrCat("clone: ", status.ToString()));
    }
    return;
  }
  if (random_.Chance(0.1)) {
    // Its maker gives up: what is left of it goes without its HEAD being looked for.
    const absl::Status deleted =
        source.Operate("deleting", [&](Volumes& volumes, std::function<void(absl::Status)> done) {
          volumes.Delete(clone->volume_, {.origin = source.volume_}, std::move(done));
        });
    if (!deleted.ok()) Violate(absl::StrCat("delete a fresh clone: ", deleted.ToString()));
    return;
  }
  ++coverage_.clones;
  Adopt(std::move(clone), record.state);
}

void World::Adopt(std::unique_ptr<World> world, const DiskState& state) {
  world->timeline_.Overwrite(state);
  world->OpenOn(world->NewDisk(), 0, "being made");
  if (!ok() || world->node_->engine().state() != EngineState::kServing) return;
  world->VerifyAll("after being made");
  shared_->clones.push_back(std::move(world));
}

// To this store or the other one, by processes that are killed at times.
void World::MakeCopy(World& source) {
  if (source.snapshots_.empty() || shared_->clones.size() >= kMaxClones || !source.node_) return;
  const SnapshotRecord record = source.snapshots_[random_.Below(source.snapshots_.size())];
  SimStore* store = random_.Chance(0.7) ? &shared_->other_store : &source.store_;
  auto copy = std::unique_ptr<World>(
      new World(shared_, store, sabotage_, verbose_, record.state.size(), 0));
  Trace(
      absl::StrCat("copy ", record.id, " of ", source.volume_.Hex(), " to ", copy->volume_.Hex()));
  // A target for each process; that of a killed one is dead with it.
  std::vector<std::unique_ptr<Operator>> targets;
  const absl::Status status =
      source.Operate("copying", [&](Volumes& volumes, std::function<void(absl::Status)> done) {
        if (!targets.empty()) targets.back()->Kill();
        targets.push_back(std::make_unique<Operator>(&random_, store, copy->options_));
        volumes.CopyTo(source.volume_, record.id, &targets.back()->volumes(), copy->volume_,
                       nullptr, std::move(done));
      });
  if (!ok()) return;
  if (!status.ok()) {
    const bool there = std::any_of(source.snapshots_.begin(), source.snapshots_.end(),
                                   [&](const SnapshotRecord& r) { return r.id == record.id; });
    if (!lossy_ && (there || !absl::IsNotFound(status))) {
      Violate(absl::StrCat("copy: ", status.ToString()));
    }
    return;
  }
  ++coverage_.copies;
  Adopt(std::move(copy), record.state);
}

bool World::HasClones() const {
  if (!node_) return false;
  const auto& snapshots = node_->engine().head().snapshots;
  return std::any_of(snapshots.begin(), snapshots.end(),
                     [](const SnapshotEntry& entry) { return !entry.clones.empty(); });
}

// `owned`: the owner goes on until it notices.
void World::DeleteVolume(bool owned) {
  Trace(absl::StrCat("delete volume ", volume_.Hex()));
  ++coverage_.deleted_volumes;
  if (HasClones()) ++coverage_.deleted_with_clones;
  ForgetRequests();
  operators_.clear();
  zombie_ = owned ? std::move(node_) : nullptr;
  node_.reset();
  const absl::Status status = DeleteInStore();
  if (!status.ok() && !lossy_) Violate(absl::StrCat("delete: ", status.ToString()));
  zombie_.reset();
  if (ok() && !lossy_ && !leased() && random_.Chance(0.2)) UseIdAgain();
}

absl::Status World::DeleteInStore() {
  bool repeated = false;
  return Operate("deleting", [&](Volumes& volumes, std::function<void(absl::Status)> done) {
    volumes.Delete(volume_, {.repeated = std::exchange(repeated, true)}, std::move(done));
  });
}

// Nothing that was sent before takes the next volume of that id away.
void World::UseIdAgain() {
  shared_->used_again.insert(volume_);
  absl::Status status =
      Operate("using an id again", [&](Volumes& volumes, std::function<void(absl::Status)> done) {
        volumes.Create(volume_, 1, std::move(done));
      });
  if (absl::IsAlreadyExists(status)) return;  // it stays for its clones
  LetTimePass();
  if (ok() && status.ok()) {
    status = Operate("looking", [&](Volumes& volumes, std::function<void(absl::Status)> done) {
      volumes.Load(volume_, [done](const absl::StatusOr<Head>& head) { done(head.status()); });
    });
  }
  if (ok() && status.ok()) status = DeleteInStore();
  if (!status.ok()) Violate(absl::StrCat("an id used again: ", status.ToString()));
  ++coverage_.used_again;
}

void World::ActOnFamily() {
  if (random_.Chance(0.02)) MakeClone(AnyVolume());
  if (ok() && random_.Chance(0.01)) MakeCopy(AnyVolume());
  if (ok() && random_.Chance(0.01)) AnyVolume().StartCheck();
  for (size_t i = 0; ok() && i < shared_->clones.size(); ++i) {
    World& clone = *shared_->clones[i];
    if (lossy_ && clone.node_->engine().state() != EngineState::kServing) continue;
    if (random_.Chance(0.3)) clone.Step();
    if (ok() && random_.Chance(0.005)) {
      clone.DeleteVolume(!leased());  // a lease that goes on would be a refusal
      shared_->clones.erase(shared_->clones.begin() + static_cast<ptrdiff_t>(i));
    }
  }
}

std::vector<World*> World::Family() {
  std::vector<World*> family;
  if (node_) family.push_back(this);
  for (const auto& clone : shared_->clones) family.push_back(clone.get());
  return family;
}

void World::VerifyFamily(const char* when) {
  for (World* world : Family()) {
    if (!ok()) return;
    RunUntil(
        [&] {
          return world->in_flight_ == 0 && !world->snapshot_running_ && !world->collecting_ &&
                 world->new_size_ == 0;
        },
        "the last work");
    world->VerifyAll(when);
    if (ok()) world->VerifySnapshots();
    if (ok()) world->VerifyDiffs();
  }
}

// One after the other, in any order; the others stay what they are, and nothing is left in the end.
void World::DeleteFamily() {
  std::vector<std::pair<SimStore*, Uuid>> volumes = {{&store_, volume_}};
  for (const auto& clone : shared_->clones) volumes.emplace_back(&clone->store_, clone->volume_);
  while (ok() && (node_ || !shared_->clones.empty())) {
    const size_t index = random_.Below(shared_->clones.size() + 1);
    World* world = index == 0 ? this : shared_->clones[index - 1].get();
    if (!world->node_) continue;
    const bool clones = world->HasClones();
    world->node_.reset();
    world->zombie_.reset();
    world->operators_.clear();
    LetTimePass();
    world->DeleteVolume(false);
    if (clones) ++coverage_.deleted_with_clones;
    if (index > 0)
      shared_->clones.erase(shared_->clones.begin() + static_cast<ptrdiff_t>(index - 1));
    VerifyFamily("after a volume was deleted");
    for (World* left : Family()) {
      if (!ok()) break;
      const CheckReport report = left->CheckNow();
      for (const CheckProblem& problem : report.problems) {
        Violate(
            absl::StrCat("after a volume was deleted: ", problem.object, ": ", problem.message));
      }
    }
  }
  for (const auto& [store, volume] : volumes) {
    const std::string left = store->FindPrefix(VolumePrefix(volume));
    if (ok() && !left.empty()) Violate(absl::StrCat("after all volumes were deleted: ", left));
  }
}

}  // namespace diskd::object
