// SPDX-License-Identifier: Apache-2.0
//
// How a volume with fencing=lease gets its owner, and how that one learns that it is not any more.
// The rules are those of docs/object-lease.md, by number.
#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/lease_store.h"
#include "drivers/object/format/head.h"

namespace diskd::object {
namespace {

constexpr int kAbsentTries = 3;
// A transport may flip bits that its own checksums miss.
constexpr int kCorruptTries = 6;
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);
// Others claim it a few times, not for ever.
constexpr int kClaimRounds = 100;
constexpr int kClaimTries = 30;

absl::Duration PauseAfter(int failures) {
  return std::min(kLongestPause, kFirstPause * (1 << std::min(failures, 6)));
}

}  // namespace

// One attempt, but for what must be said again to be believed.
Task<absl::StatusOr<GetResult>> LeaseStore::Read(Lane lane, std::string name) {
  for (int absent = 0;;) {
    Completion<absl::StatusOr<GetResult>> done;
    store_->Get(lane, name, std::nullopt, done.Callback());
    absl::StatusOr<GetResult> got = co_await done;
    if (!absl::IsNotFound(got.status()) || ++absent == kAbsentTries) co_return got;
    co_await Sleep(scheduler_, kFirstPause / 2);
  }
}

Task<absl::StatusOr<GetResult>> LeaseStore::ReadHead(Uuid volume, Owner owner) {
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<GetResult> got = co_await Read(Lane::kLease, OwnedHeadName(volume, owner));
    if (got.ok() || absl::IsNotFound(got.status()) || attempt == kClaimTries) co_return got;
    co_await Sleep(scheduler_, PauseAfter(attempt));
  }
}

Task<absl::StatusOr<Claim>> LeaseStore::ReadClaim(Uuid volume) {
  absl::Status problem;
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    const absl::StatusOr<GetResult> got = co_await Read(Lane::kLease, ClaimName(volume));
    if (!got.ok()) co_return got.status();
    absl::StatusOr<Claim> claim = ParseClaim(got->body);
    if (claim.ok() && claim->volume != volume) claim = absl::DataLossError("is another volume's");
    if (claim.ok()) co_return claim;
    problem = claim.status();
  }
  co_return absl::InternalError(absl::StrCat(ClaimName(volume), ": ", problem.message()));
}

Task<absl::StatusOr<std::optional<Beat>>> LeaseStore::ReadBeat(Uuid volume, Owner owner) {
  const std::string name = BeatName(volume, owner);
  absl::Status problem;
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    const absl::StatusOr<GetResult> got = co_await Read(Lane::kLease, name);
    if (absl::IsNotFound(got.status())) co_return std::optional<Beat>();
    if (!got.ok()) co_return got.status();
    absl::StatusOr<Beat> beat = ParseBeat(got->body);
    if (beat.ok() && (beat->volume != volume || beat->owner != owner)) {
      beat = absl::DataLossError("is another owner's");
    }
    if (beat.ok()) co_return std::optional<Beat>(*beat);
    problem = beat.status();
  }
  co_return absl::InternalError(absl::StrCat(name, ": ", problem.message()));
}

Task<absl::StatusOr<LeaseStore::Look>> LeaseStore::TakeLook(Uuid volume) {
  const absl::StatusOr<Claim> claim = co_await ReadClaim(volume);
  if (!claim.ok()) co_return claim.status();
  const absl::StatusOr<std::optional<Beat>> beat = co_await ReadBeat(volume, claim->owner);
  if (!beat.ok()) co_return beat.status();
  co_return Look{*claim, *beat};
}

Task<absl::StatusOr<bool>> LeaseStore::HasHead(Uuid volume, Owner owner) {
  const absl::StatusOr<GetResult> got = co_await ReadHead(volume, owner);
  if (absl::IsNotFound(got.status())) co_return false;
  if (!got.ok()) co_return got.status();
  co_return true;
}

// An error leaves no trace but a claim that may be ours: the caller tries again.
Task<absl::Status> LeaseStore::Acquire(Uuid volume, Owner wanted, uint64_t log_id) {
  wanted_ = wanted;
  for (int round = 0; round < kClaimRounds; ++round) {
    bool gone = false;
    const absl::StatusOr<Claim> before = co_await AwaitSilence(volume, wanted, log_id, &gone);
    if (!before.ok()) co_return before.status();
    Claim claim = *before;
    if (before->owner.nonce != wanted.nonce) {
      const absl::StatusOr<Owner> base = co_await BaseOf(*before);
      if (!base.ok()) co_return base.status();
      claim.previous = before->owner;
      claim.base = *base;
      claim.owner = wanted;
      const absl::StatusOr<bool> stored = co_await StoreClaim(*before, claim);
      if (!stored.ok()) co_return stored.status();
      if (!*stored) continue;
    }
    tasks_.Spawn(KeepBeating(volume, wanted, ++beating_));
    const absl::StatusOr<bool> settled = co_await Settle(claim, gone);
    if (!settled.ok() || !*settled) ++beating_;
    if (!settled.ok()) co_return settled.status();
    if (!*settled) continue;
    mine_ = Mine{claim, false, {}};
    tasks_.Spawn(WatchClaim());
    tasks_.Spawn(WatchClock());
    co_return Check();
  }
  co_return absl::AbortedError(
      absl::StrCat("volume ", volume.Hex(), " is being claimed by others all the time"));
}

// Rule 2.
Task<absl::StatusOr<Claim>> LeaseStore::AwaitSilence(Uuid volume, Owner wanted, uint64_t log_id,
                                                     bool* gone) {
  std::optional<Look> last;
  absl::Duration begin;  // of this claim
  absl::Duration since;  // of this beat
  absl::Duration looked;
  for (int failures = 0;;) {
    const absl::StatusOr<Look> look = co_await TakeLook(volume);
    if (!look.ok()) {
      if (absl::IsNotFound(look.status()) || ++failures == kClaimTries) co_return look.status();
      co_await Sleep(scheduler_, PauseAfter(failures));
      continue;
    }
    failures = 0;
    if (look->claim.times != options_.lease) {
      co_return absl::InvalidArgumentError(absl::StrCat(
          "volume ", volume.Hex(), " was created with lease=", look->claim.times.lease_ms,
          "ms and late=", look->claim.times.late_ms, "ms: open it with the same"));
    }
    if (look->claim.owner.nonce == wanted.nonce) co_return look->claim;  // an earlier attempt
    const bool same = last.has_value() && last->claim == look->claim;
    if (!same) {
      const absl::StatusOr<bool> is_gone = co_await IsGone(*look, log_id);
      if (!is_gone.ok()) co_return is_gone.status();
      *gone = *is_gone;
      if (*gone) co_return look->claim;
      begin = since = scheduler_->Now();
    } else if (look->beat.has_value() && look->beat->released) {
      *gone = true;
      co_return look->claim;
    } else if (last->beat != look->beat && looked < begin + clock_.Landed()) {
      since = scheduler_->Now();  // may be a late one, of who had ended before
    } else if (last->beat != look->beat) {
      End(absl::FailedPreconditionError(absl::StrCat("another node has volume ", volume.Hex(),
                                                     " (epoch ", look->claim.owner.epoch,
                                                     ") and goes on: detach it there")));
      co_return ended_;
    } else if (scheduler_->Now() - since >= clock_.Silent()) {
      co_return look->claim;
    }
    last = *look;
    looked = scheduler_->Now();
    co_await Sleep(scheduler_,
                   std::min(clock_.Interval(), since + clock_.Silent() - scheduler_->Now()));
  }
}

// Who has the log that the owner used has its lock: that process has ended.
Task<absl::StatusOr<bool>> LeaseStore::IsGone(Look look, uint64_t log_id) {
  const Owner owner = look.claim.owner;
  if (owner.nonce == 0 || (look.beat.has_value() && look.beat->released)) co_return true;
  if (log_id == 0) co_return false;
  const absl::StatusOr<GetResult> got = co_await ReadHead(look.claim.volume, owner);
  if (absl::IsNotFound(got.status())) co_return false;
  if (!got.ok()) co_return got.status();
  const absl::StatusOr<struct Head> head = ParseHead(got->body);
  co_return head.ok() && head->nonce == owner.nonce && head->log_id == log_id;
}

// The owners before `before` have ended when it claimed, so what they have now they had then.
Task<absl::StatusOr<Owner>> LeaseStore::BaseOf(Claim before) {
  const std::array<Owner, 2> owners = {before.owner, before.previous};
  for (const Owner& owner : owners) {
    const absl::StatusOr<bool> has_head = co_await HasHead(before.volume, owner);
    if (!has_head.ok()) co_return has_head.status();
    if (*has_head) co_return owner;
  }
  co_return before.base;
}

Task<absl::StatusOr<bool>> LeaseStore::StoreClaim(Claim before, Claim claim) {
  const auto body = std::make_shared<const std::string>(EncodeClaim(claim));
  absl::Status problem;
  for (int attempt = 0; attempt < kClaimTries; ++attempt) {
    const absl::Duration began = scheduler_->Now();
    const absl::StatusOr<Claim> there = co_await ReadClaim(claim.volume);
    if (there.ok() && *there == claim) co_return true;
    if (there.ok() && *there != before) co_return false;
    if (!there.ok()) {
      problem = there.status();
    } else if (scheduler_->Now() - began <= clock_.ClaimWithin()) {
      problem = (co_await WriteUntil(began + clock_.ClaimWithin(), Lane::kLease,
                                     ClaimName(claim.volume), body))
                    .status();
      if (problem.ok()) co_return true;
    } else {
      problem = absl::UnavailableError("the store is too slow to claim a volume");
    }
    co_await Sleep(scheduler_, PauseAfter(attempt));
  }
  co_return problem;
}

// Rules 3 and 4. The time counts from here, after the answer that says that the claim is there: who
// looked before may overwrite it until `Settled`, who owned the volume acts until `Silent`.
Task<absl::StatusOr<bool>> LeaseStore::Settle(Claim claim, bool gone) {
  const bool silent = gone || options_.sabotage == Sabotage::kNoSecondWait;
  const absl::Duration end =
      scheduler_->Now() + (silent ? clock_.Settled() : std::max(clock_.Settled(), clock_.Silent()));
  int failures = 0;
  for (;;) {
    const absl::Duration began = scheduler_->Now();
    const absl::StatusOr<Claim> there = co_await ReadClaim(claim.volume);
    if (there.ok() && there->owner.nonce != claim.owner.nonce) co_return false;
    if (there.ok() && began >= end) {
      clock_.Renew(began);
      if (clock_.MayAct(scheduler_->Now())) co_return true;
    }
    failures = there.ok() ? 0 : failures + 1;
    if (failures > kClaimTries) co_return there.status();
    absl::Duration pause = clock_.Interval();
    if (scheduler_->Now() < end) pause = std::min(pause, end - scheduler_->Now());
    co_await Sleep(scheduler_, there.ok() ? pause : std::min(pause, kLongestPause));
  }
}

// Rule 1.
Task<void> LeaseStore::WatchClaim() {
  absl::Duration pause = clock_.Interval();
  while (ended_.ok()) {
    co_await Sleep(scheduler_, pause);
    if (!mine_.has_value() || !ended_.ok()) co_return;
    absl::Duration began = scheduler_->Now();
    const absl::StatusOr<Claim> there = co_await ReadClaim(mine_->claim.volume);
    if (!mine_.has_value() || !ended_.ok()) co_return;
    if (options_.sabotage == Sabotage::kLeaseFromEnd) began = scheduler_->Now();
    if (there.ok() && there->owner.nonce == mine_->claim.owner.nonce) {
      clock_.Renew(began);
    } else if (there.ok()) {
      End(absl::FailedPreconditionError(absl::StrCat("volume ", there->volume.Hex(),
                                                     " belongs to epoch ", there->owner.epoch,
                                                     " now, not to our ", mine_->claim.owner.epoch,
                                                     ": another node has taken the volume over")));
    } else if (absl::IsNotFound(there.status())) {
      End(absl::FailedPreconditionError(
          absl::StrCat("volume ", mine_->claim.volume.Hex(), " was deleted")));
    }
    if (!Check().ok()) co_return;
    pause = there.ok() ? clock_.Interval() : std::min(kLongestPause, clock_.Interval() / 10);
  }
}

// An idle owner ends in time too.
Task<void> LeaseStore::WatchClock() {
  while (mine_.has_value() && Check().ok()) {
    co_await Sleep(scheduler_, clock_.until() - scheduler_->Now());
  }
}

Task<void> LeaseStore::KeepBeating(Uuid volume, Owner owner, uint64_t turn) {
  for (int failures = 0; turn == beating_;) {
    const absl::Status sent = co_await SendBeat(volume, owner, /*released=*/false);
    if (turn != beating_) co_return;
    failures = sent.ok() ? 0 : failures + 1;
    co_await Sleep(scheduler_, sent.ok() ? clock_.Interval()
                                         : std::min(PauseAfter(failures), clock_.Interval()));
  }
}

// A beat that is lost costs nothing but time.
Task<absl::Status> LeaseStore::SendBeat(Uuid volume, Owner owner, bool released) {
  const Beat beat{volume, owner, released, ++beats_};
  const absl::StatusOr<Etag> sent = co_await Write(
      Lane::kLease, BeatName(volume, owner), std::make_shared<const std::string>(EncodeBeat(beat)));
  co_return sent.status();
}

}  // namespace diskd::object
