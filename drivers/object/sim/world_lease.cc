// SPDX-License-Identifier: Apache-2.0
//
// What happens to the owners of a volume with fencing=lease, on a store that ignores conditions.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/sim/world.h"

namespace diskd::object {
namespace {

constexpr int kOpeningsInVain = 20;
constexpr uint64_t kEventsBesideLosers = 200;

}  // namespace

// Up to so many leases, and times for late requests.
absl::Duration World::SomeTime(double leases) {
  const double seconds = leases * (shared_->lease.lease_ms + shared_->lease.late_ms) / 1000.0;
  return absl::Seconds(seconds) * (static_cast<double>(random_.Below(1000)) / 1000);
}

// Now, and as often as not while it looks at the claim; it goes on later.
void World::PauseOwner() {
  const ProcessPtr process = node_->process();
  const LeaseClock clock(shared_->lease);
  if (random_.Chance(0.5)) {
    RunUntil(
        [&] { return process->asking > 0 || node_->engine().state() != EngineState::kServing; },
        "a look at the claim");
  }
  SubmitSome(random_.Below(4));
  process->paused = true;
  // As often as not when the next owner has begun.
  absl::Duration pause = SomeTime(2);
  if (random_.Chance(0.5)) pause += 2 * clock.Silent();
  random_.After(pause, [this, process, plan = process->plan] {
    if (process->plan == plan) Resume(&random_, process);
  });
}

// Nobody takes a volume from an owner that is heard.
void World::DisturbOwner() {
  const ProcessPtr process = node_->process();
  switch (random_.Below(5)) {
    case 0:
      return;
    case 1:
      PauseOwner();
      break;
    case 2:
      process->muted = true;
      break;
    case 3:
      process->muted = true;
      random_.After(SomeTime(2.5), [this, process, plan = process->plan] {
        if (process->plan != plan) return;
        process->paused = true;
        random_.After(SomeTime(4), [this, process, plan] {
          if (process->plan == plan) Resume(&random_, process);
        });
      });
      break;
    default:
      process->cut_off = true;
      random_.After(SomeTime(4), [process, plan = process->plan] {
        if (process->plan == plan) process->cut_off = false;
      });
  }
  Trace(absl::StrCat("the owner is ", process->paused    ? "paused"
                                      : process->cut_off ? "cut off"
                                                         : "not heard"));
}

void World::CalmOwner() {
  const ProcessPtr process = node_->process();
  ++process->plan;
  process->muted = process->cut_off = false;
  Resume(&random_, process);
}

void World::AddRivals(std::vector<std::unique_ptr<Opening>>& openings) {
  for (uint64_t i = random_.Chance(0.3) ? random_.Between(1, 2) : 0; i > 0; --i) {
    ++coverage_.rivals;
    openings.push_back(StartOpening(NewDisk(), nullptr));
  }
}

std::unique_ptr<World::Opening> World::Winner(std::vector<std::unique_ptr<Opening>>& openings) {
  std::unique_ptr<Opening> winner;
  for (auto& opening : openings) {
    if (!opening->opened()) continue;
    if (winner != nullptr) Violate("two owners at once");
    winner = std::move(opening);
    opening = std::make_unique<Opening>();
  }
  if (winner == nullptr || openings.size() == 1) return winner;
  for (uint64_t i = random_.Below(kEventsBesideLosers); ok() && i > 0 && random_.RunOne(); --i) {
    for (const auto& opening : openings) {
      if (opening->opened()) Violate("two owners at once");
    }
  }
  return winner;
}

void World::NobodyOpened(const absl::Status& status, std::shared_ptr<SimDisk> disk,
                         uint64_t at_least, const char* why) {
  if (++openings_in_vain_ > kOpeningsInVain) return Violate(absl::StrCat(why, ": nobody wins"));
  ++coverage_.refused;
  Trace(absl::StrCat("refused: ", status.ToString()));
  if (!taking_over_) return OpenOn(std::move(disk), at_least, why);  // beside rivals
  taking_over_ = false;
  std::swap(cache_, other_cache_);
  CalmOwner();
  // It may not know yet that its lease has ended.
  const absl::Duration until =
      random_.Now() + absl::Milliseconds(shared_->lease.lease_ms) + absl::Seconds(1);
  random_.After(until - random_.Now() + absl::Seconds(1), [] {});
  RunUntil([&] { return random_.Now() > until; }, "an owner that goes on");
  if (ok() && node_->engine().state() == EngineState::kFenced) {
    ++coverage_.fenced;
    EndRound(End::kKill);
  }
}

// For less than the lease, or more.
void World::PauseForAWhile() {
  if (!node_ || node_->engine().state() != EngineState::kServing) return;
  const ProcessPtr process = node_->process();
  process->paused = true;
  const absl::Duration until = random_.Now() + SomeTime(1.5);
  random_.After(until - random_.Now(), [] {});
  RunUntil([&] { return random_.Now() >= until; }, "a pause");
  Resume(&random_, process);
  // Its looks at the claim may fail in what is left of the lease.
  const absl::Duration later =
      random_.Now() + absl::Milliseconds(shared_->lease.lease_ms) + absl::Seconds(5);
  random_.After(later + absl::Seconds(1) - random_.Now(), [] {});
  RunUntil([&] { return random_.Now() > later; }, "the end of a pause");
  if (!ok() || node_->engine().state() != EngineState::kFenced) return;
  ++coverage_.fenced;
  EndRound(End::kKill);
}

void World::LoseTheLease() {
  if (!node_ || node_->engine().state() != EngineState::kServing) return;
  node_->process()->cut_off = true;
  const absl::Duration limit = random_.Now() + 2 * absl::Milliseconds(shared_->lease.lease_ms);
  random_.After(limit + absl::Seconds(1) - random_.Now(), [] {});
  RunUntil(
      [&] { return node_->engine().state() != EngineState::kServing || random_.Now() > limit; },
      "the end of a lease");
  if (ok() && node_->engine().state() == EngineState::kServing && sabotage_ == Sabotage::kNone) {
    Violate("an owner without the store does not stop");
  }
  if (!ok()) return;
  ++coverage_.fenced;
  EndRound(End::kKill);
}

// Of an owner that was taken over: it may not give any.
void World::StaleAnswer(const absl::Status& status) {
  if (leased() && status.ok() && !lossy_) Violate("a former owner has answered a request");
}

}  // namespace diskd::object
