// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/sim/world.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace diskd::object {
namespace {

constexpr absl::Duration kLongest = absl::Hours(2);
constexpr PackingKey kSimKey = {1, 2, 3};
// What the store takes to get a request that is not late.
constexpr uint64_t kOnTheWayMs = 2100;

}  // namespace

World::Shared::Shared(uint64_t seed, Fencing fencing)
    : random(seed),
      store(&random),
      other_store(&random),
      encrypted(random.Chance(0.3)),
      fencing(fencing) {
  if (fencing != Fencing::kLease) return;
  const uint64_t latest = random.Between(1, 60);
  lease.lease_ms = static_cast<uint32_t>(random.Between(20, 120) * 1000);
  lease.late_ms = static_cast<uint32_t>(latest * 1000 + kOnTheWayMs);
  for (SimStore* each : {&store, &other_store}) {
    each->latest = absl::Seconds(latest);
    each->ignores_conditions = true;
  }
}

World::World(uint64_t seed, Sabotage sabotage, bool verbose, Fencing fencing)
    : World(std::make_shared<Shared>(seed * 0x2545f4914f6cdd1d + 1, fencing), nullptr, sabotage,
            verbose, 0, 0) {
  ChooseFaults();
}

World::World(std::shared_ptr<Shared> shared, SimStore* store, Sabotage sabotage, bool verbose,
             uint64_t size_blocks, uint8_t fanout_bits)
    : shared_(std::move(shared)),
      first_(store == nullptr),
      random_(shared_->random),
      sabotage_(sabotage),
      verbose_(verbose),
      store_(store != nullptr ? *store : shared_->store),
      size_blocks_(size_blocks != 0 ? size_blocks : random_.Between(24, 200)),
      log_blocks_(random_.Between(40, 160)),
      lasting_memory_(random_.Chance(0.6)),
      flushes_(random_.Chance(0.4) ? random_.Below(3) : 15),
      max_write_(random_.Between(1, 8)),
      fanout_bits_(fanout_bits != 0 ? fanout_bits : static_cast<uint8_t>(random_.Between(2, 4))),
      lossy_(shared_->lossy),
      timeline_(size_blocks_),
      violation_(shared_->violation),
      coverage_(shared_->coverage) {
  for (uint8_t& byte : volume_.bytes) byte = static_cast<uint8_t>(random_.Random());
  options_.sabotage = sabotage;
  options_.fencing = shared_->fencing;
  options_.lease = shared_->lease;
  options_.durability = random_.Chance(0.3) ? Durability::kRemote : Durability::kLocal;
  options_.object_bytes = random_.Between(2, 24) * kBlockBytes;
  options_.upload_delay = absl::Milliseconds(static_cast<int64_t>(random_.Between(1, 500)));
  options_.burst = absl::Milliseconds(random_.Chance(0.5) ? 0 : random_.Between(1, 100));
  options_.burst_pause = absl::Milliseconds(static_cast<int64_t>(random_.Between(1, 10)));
  options_.uploads_in_flight = static_cast<int>(random_.Between(1, 4));
  options_.checkpoint_objects = static_cast<int>(random_.Between(1, 8));
  options_.checkpoint_blocks = random_.Between(16, 400);
  options_.map_object_bytes = random_.Between(5000, 40'000);
  options_.page_cache_bytes = random_.Chance(0.5) ? random_.Between(0, 4000) : 1 << 20;
  options_.retained_log_bytes = random_.Chance(0.5) ? 0 : random_.Between(0, 1 << 18);
  options_.settle_bytes = random_.Between(1, 1 << 18);
  options_.settle_delay = absl::Microseconds(
      static_cast<int64_t>(random_.Between(0, random_.Chance(0.5) ? 5000 : 500'000)));
  options_.collect_every_objects =
      random_.Chance(0.5) ? 0 : static_cast<int>(random_.Between(4, 30));
  options_.freed_delay = absl::Milliseconds(
      static_cast<int64_t>(random_.Chance(0.5) ? random_.Between(1, 5000) : 30'000));
  options_.collect_below = random_.Below(10) / 10.0;
  options_.collect_until = random_.Chance(0.5) ? 1 : random_.Below(10) / 10.0;
  if (random_.Chance(0.5)) options_.collect_bytes = random_.Between(1, 40) * kBlockBytes;
  if (random_.Chance(0.5)) options_.collect_objects = random_.Between(1, 60);
  options_.fanout_bits = fanout_bits_;
  if (random_.Chance(0.4)) options_.zstd_level = 1;
  if (shared_->encrypted) options_.key = kSimKey;
  if (random_.Chance(0.5)) options_.index_cache_bytes = random_.Between(0, 2000);
  options_.read_ahead_blocks = random_.Between(0, 64);
  options_.cache_segment_blocks = static_cast<uint32_t>(random_.Between(2, 8));
}

World::~World() {
  if (first_) shared_->clones.clear();
}

void World::ChooseFaults() {
  if (random_.Chance(0.8)) {
    StoreFaults& faults = store_.faults;
    const double rate = random_.Chance(0.3) ? 0.2 : 0.03;
    for (double* p : {&faults.fail_before, &faults.reply_lost, &faults.late, &faults.conflict,
                      &faults.damaged, &faults.cut_short, &faults.stale_list}) {
      if (random_.Chance(0.6)) *p = rate * random_.Below(100) / 100;
    }
    // Many in a row are taken for damage in the store.
    faults.damaged /= 10;
    shared_->other_store.faults = faults;
  }
}

void World::Violate(const std::string& what) {
  Trace("VIOLATION " + what);
  if (violation_.empty()) violation_ = what;
}

void World::Trace(const std::string& what) {
  if (!verbose_) return;
  fprintf(stderr, "%12.6f %s\n", absl::ToDoubleSeconds(random_.Now()), what.c_str());
}

void World::RunUntil(const std::function<bool()>& done, const char* what) {
  const absl::Duration limit = random_.Now() + kLongest;
  while (ok() && !done()) {
    if (!random_.RunOne() || random_.Now() > limit) {
      Violate(absl::StrCat(what, " never ends"));
    }
  }
}

void World::RunEvents(uint64_t count) {
  while (ok() && count-- > 0 && random_.RunOne()) {
  }
  CheckOwner();
  for (const auto& clone : shared_->clones) clone->CheckOwner();
}

void World::CheckOwner() {
  if (!ok() || !node_) return;
  const EngineStats stats = node_->engine().stats();
  uploaded_ = std::max(uploaded_, stats.uploaded_sequence);
  if (node_->engine().state() == EngineState::kFailed && !lossy_) {
    Violate(absl::StrCat("the engine has failed: ", node_->engine().status().ToString()));
  }
  if (node_->engine().state() == EngineState::kFenced) {
    Violate(absl::StrCat("the owner was fenced: ", node_->engine().status().ToString()));
  }
  // A lost seal holds nobody back.
  if (!lossy_ && zombie_ && zombie_->engine().stats().uploaded_sequence > zombie_limit_) {
    Violate(absl::StrCat("a stale owner believes that its late writes are in the store: ",
                         zombie_->engine().stats().uploaded_sequence, " of ", zombie_limit_));
  }
}

void World::MakeVolume() {
  const absl::Status status =
      Operate("create", [this](Volumes& volumes, std::function<void(absl::Status)> done) {
        volumes.Create(volume_, size_blocks_, std::move(done));
      });
  if (!status.ok()) Violate(absl::StrCat("create: ", status.ToString()));
}

void World::ForgetRequests() {
  ++session_;
  in_flight_ = 0;
  snapshot_running_ = collecting_ = false;
}

bool World::Tolerated(const absl::Status& status) const {
  if (status.ok() || lossy_) return true;
  // CheckOwner() sees a lease that ends without a reason.
  return (taking_over_ || leased()) && absl::IsFailedPrecondition(status);
}

DiskState World::ReadEverything(const PagePointer* root, uint64_t size, const std::string& what) {
  DiskState state(size);
  uint64_t left = 0;
  std::vector<AlignedBuffer> buffers;
  for (Lba lba = 0; lba < size && ok();) {
    const uint64_t blocks = std::min(size - lba, random_.Between(1, 64));
    buffers.emplace_back(blocks);
    std::byte* data = buffers.back().block(0);
    auto done = [&, data, lba, blocks](absl::Status status) {
      --left;
      if (!status.ok() && !lossy_) Violate(absl::StrCat(what, ": ", status.ToString()));
      for (uint64_t i = 0; i < blocks; ++i) {
        // An error is no content; the caller compares only what was read.
        state[lba + i] = status.ok() ? ReadStamp(data + i * kBlockBytes, lba + i) : kGarbage - 1;
      }
    };
    ++left;
    if (root == nullptr) {
      node_->engine().Submit({RequestKind::kRead, false, lba, blocks, data, done});
    } else {
      node_->engine().ReadRoot(*root, lba, blocks, data, done);
    }
    lba += blocks;
  }
  RunUntil([&] { return left == 0; }, "reading everything");
  return state;
}

void World::VerifyAll(const char* when) {
  if (!ok()) return;
  const DiskState want = timeline_.StateAfter(timeline_.size());
  const DiskState got = ReadEverything(nullptr, size_blocks_, when);
  for (Lba lba = 0; ok() && lba < size_blocks_; ++lba) {
    if (lossy_ && got[lba] == kGarbage - 1) continue;
    if (got[lba] != want[lba]) {
      Violate(absl::StrCat(when, ": block ", lba, " has ", got[lba], " instead of ", want[lba]));
    }
  }
}

void World::VerifyRoot(PagePointer root, const DiskState& want, const std::string& what) {
  const DiskState got = ReadEverything(&root, want.size(), what);
  for (Lba lba = 0; ok() && lba < want.size(); ++lba) {
    if (lossy_ && got[lba] == kGarbage - 1) continue;
    if (got[lba] != want[lba]) {
      Violate(absl::StrCat(what, ": block ", lba, " has ", got[lba], " instead of ", want[lba]));
    }
  }
}

void World::VerifySnapshots() {
  const std::vector<SnapshotEntry> entries = node_->engine().head().snapshots;
  for (const SnapshotRecord& record : snapshots_) {
    for (const SnapshotEntry& entry : entries) {
      if (entry.id == record.id && ok()) {
        VerifyRoot(entry.root, record.state, absl::StrCat("snapshot ", record.id));
      }
    }
  }
}

void World::EndRound(End end) {
  if (!ok()) return;
  const EngineStats stats = node_->engine().stats();
  ++coverage_.ends[static_cast<int>(end)];
  coverage_.kept_records += stats.kept_log_records;
  coverage_.checkpoints += stats.checkpoints;
  coverage_.retries += stats.store.retries;
  coverage_.deleted_objects += stats.objects_deleted;
  coverage_.moved_blocks += stats.blocks_moved;
  coverage_.packed_bytes += stats.packed_data_bytes;
  coverage_.stored_bytes += stats.stored_data_bytes;
  coverage_.cache_hits += stats.cache.hits;
  coverage_.read_ahead += stats.blocks_read_ahead;
  coverage_.cache_restored += stats.cache.restored;
  coverage_.cache_damaged += stats.cache.damaged;
  const std::shared_ptr<SimDisk> disk = node_->disk();
  switch (end) {
    case End::kKill: {
      const uint64_t at_least = std::max(timeline_.acknowledged(), uploaded_);
      node_.reset();
      return OpenOn(disk, at_least, "kill");
    }
    case End::kPowerCut: {
      const uint64_t at_least = std::max(flushed_, uploaded_);
      node_.reset();
      disk->PowerCut();
      if (cache_ != nullptr) cache_->PowerCut();
      return OpenOn(disk, at_least, "power cut");
    }
    case End::kLogLost:
      node_.reset();
      return TakeOver();
    case End::kTakeover:
      zombie_.reset();
      return TakeOver();
    case End::kClose: {
      uint64_t everything = timeline_.size();
      bool closed = false;
      RunUntil([&] { return in_flight_ == 0; }, "requests in flight");
      if (!ok()) return;
      node_->engine().Close([&](absl::Status status) {
        closed = true;
        // A lost object may have stopped it.
        if (!status.ok() && lossy_) everything = uploaded_;
        if (!status.ok() && !lossy_) Violate(absl::StrCat("close: ", status.ToString()));
      });
      RunUntil([&] { return closed; }, "closing");
      node_.reset();
      if (lasting_memory_ && !lossy_ && random_.Chance(0.5)) {
        RunUntil([&] { return disk->idle(); }, "the disk of a closed volume");
        disk->GiveMemory(disk->memory().size());
      }
      return OpenOn(random_.Chance(0.5) ? disk : NewDisk(), everything, "close");
    }
  }
}

void World::EndRandomly() {
  // In the middle of work, at times.
  for (uint64_t i = random_.Chance(0.5) ? random_.Between(1, 10) : 0; i > 0 && ok(); --i) {
    SubmitSome(random_.Between(1, 4));
    RunEvents(random_.Below(4));
  }
  if (!ok()) return;
  if (leased() && random_.Chance(0.3)) return EndRound(End::kTakeover);
  const End ends[] = {End::kKill,     End::kKill,    End::kPowerCut, End::kPowerCut,
                      End::kPowerCut, End::kLogLost, End::kTakeover, End::kClose};
  EndRound(ends[random_.Below(8)]);
}

void World::Step() {
  SubmitSome(random_.Between(1, 4));
  if (zombie_ && random_.Chance(0.5)) SubmitToZombie();
  if (random_.Chance(0.03)) StartSnapshot();
  if (random_.Chance(0.02)) StartSnapshotDelete();
  if (random_.Chance(0.04)) StartCollect();
  if (random_.Chance(0.01)) RollBack();
  if (random_.Chance(0.02)) StartResize();
}

void World::LetTimePass() {
  const absl::Duration later = random_.Now() + absl::Minutes(2);
  random_.After(absl::Minutes(3), [] {});
  RunUntil([&] { return random_.Now() > later; }, "late requests");
}

std::string World::Run() {
  MakeVolume();
  if (ok()) OpenOn(NewDisk(), 0, "creation");
  const uint64_t rounds = random_.Between(2, 6);
  for (uint64_t round = 0; ok() && round < rounds; ++round) {
    const uint64_t steps = random_.Between(10, 60);
    for (uint64_t step = 0; ok() && step < steps; ++step) {
      if (lossy_ && node_->engine().state() != EngineState::kServing) return violation_;
      Step();
      ActOnFamily();
      if (random_.Chance(0.01)) {
        // No owner stops itself for that.
        const uint64_t longest = leased() ? shared_->lease.lease_ms * 250 : 100'000'000;
        store_.Outage(random_.Micros(1000, longest), random_.Chance(0.3));
      }
      if (leased() && ok() && random_.Chance(0.01)) AnyVolume().PauseForAWhile();
      RunEvents(random_.Between(1, 60));
    }
    if (random_.Chance(0.3)) RunEvents(random_.Between(100, 3000));
    World& ending = random_.Chance(0.6) ? *this : AnyVolume();
    if (leased() && random_.Chance(0.15)) ending.LoseTheLease();
    ending.EndRandomly();
    if (lossy_ && ending.node_ && ending.node_->engine().state() != EngineState::kServing) {
      return violation_;
    }
    ending.VerifyAll("after recovery");
    if (ok() && random_.Chance(0.3)) ending.VerifySnapshots();
    if (ok() && !lossy_ && random_.Chance(0.5)) ending.VerifyDiffs();
    if (ok() && random_.Chance(0.02)) {
      LoseAnObject();
      ending.VerifyAll("after an object was lost");
      if (ok()) ending.VerifySnapshots();
    }
  }
  if (!ok() || lossy_) return violation_;
  VerifyFamily("in the end");
  LetTimePass();
  VerifyFamily("after late requests");
  if (ok()) EndRound(End::kLogLost);
  VerifyFamily("in the very end");
  if (store_.ignored_conditions > 0) Violate("a condition was relied on");
  if (ok()) DamageAndCheck();
  if (ok()) DeleteFamily();
  return violation_;
}

}  // namespace diskd::object
