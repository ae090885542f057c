// SPDX-License-Identifier: Apache-2.0
//
// The HEAD of a volume with fencing=lease: created, found, replaced, and the end of all its names.
// The rules are those of docs/object-lease.md, by number.
#include <algorithm>
#include <array>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/lease_store.h"
#include "drivers/object/format/head.h"
#include "drivers/object/format/object.h"

namespace diskd::object {
namespace {

constexpr int kHeadTries = 10;

// Of a HEAD: under whose name it is, and what the store says.
Etag EtagOf(const Owner& owner, const Etag& etag) {
  return absl::StrCat(absl::Hex(owner.nonce), ":", etag);
}

}  // namespace

Task<void> LeaseStore::PutHead(Lane lane, Uuid volume, std::shared_ptr<const std::string> body,
                               PutCondition condition, PutDone done) {
  absl::StatusOr<Etag> result = absl::UnimplementedError("a HEAD is created or replaced");
  co_await Sleep(scheduler_, absl::ZeroDuration());
  if (condition.kind == PutCondition::Kind::kIfAbsent) {
    result = co_await Create(lane, volume, std::move(body));
  } else if (condition.kind == PutCondition::Kind::kIfMatch) {
    result = co_await Replace(lane, volume, std::move(body), std::move(condition.etag));
  }
  done(std::move(result));
}

// Creation is a claim like others: it overwrites nobody who came later, since it is not sent later
// than ClaimWithin() after a look that found none.
Task<absl::StatusOr<Etag>> LeaseStore::Create(Lane lane, Uuid volume,
                                              std::shared_ptr<const std::string> body) {
  const std::string name = OwnedHeadName(volume, {});
  for (int attempt = 0; attempt < kHeadTries; ++attempt) {
    const absl::Duration began = scheduler_->Now();
    const absl::StatusOr<Claim> there = co_await ReadClaim(volume);
    if (there.ok()) co_return absl::FailedPreconditionError("the volume exists");
    if (!absl::IsNotFound(there.status())) co_return there.status();
    const absl::StatusOr<GetResult> head = co_await Read(lane, name);
    if (!head.ok() && !absl::IsNotFound(head.status())) co_return head.status();
    if (head.ok() && !ParseHead(head->body).ok()) continue;  // damaged on its way
    if (head.ok() && head->body != *body) {
      co_return absl::AlreadyExistsError(
          absl::StrCat("volume ", volume.Hex(), " is being created with other properties"));
    }
    absl::StatusOr<Etag> put = Etag();
    if (head.ok()) {
      put = head->etag;
    } else {
      put = co_await Write(lane, name, body);
    }
    if (!put.ok()) co_return put;
    if (scheduler_->Now() - began > clock_.ClaimWithin()) continue;
    Claim claim;
    claim.volume = volume;
    claim.times = options_.lease;
    const absl::StatusOr<Etag> claimed =
        co_await WriteUntil(began + clock_.ClaimWithin(), lane, ClaimName(volume),
                            std::make_shared<const std::string>(EncodeClaim(claim)));
    if (!claimed.ok()) co_return claimed;
    co_return EtagOf({}, *put);
  }
  co_return absl::UnavailableError("the store is too slow to create a volume with fencing=lease");
}

Task<absl::StatusOr<Etag>> LeaseStore::Replace(Lane lane, Uuid volume,
                                               std::shared_ptr<const std::string> body, Etag etag) {
  if (!ended_.ok() && options_.sabotage != Sabotage::kCollectBeyondLease) co_return ended_;
  const absl::StatusOr<struct Head> head = ParseHead(*body);
  if (!head.ok()) co_return head.status();
  const Owner owner{head->epoch, head->nonce};
  if (mine_.has_value() && (mine_->claim.volume != volume || wanted_.nonce != owner.nonce)) {
    co_return absl::InternalError("one owner has one volume");
  }
  if (!mine_.has_value()) {
    const absl::StatusOr<Claim> claim = co_await ReadClaim(volume);
    if (!claim.ok()) co_return claim.status();
    const bool others = owner.nonce == claim->owner.nonce || owner.nonce == claim->base.nonce ||
                        owner.nonce == claim->previous.nonce;
    if (owner.nonce == 0 || (others && owner.nonce != wanted_.nonce)) {
      co_return absl::UnimplementedError(
          absl::StrCat("volume ", volume.Hex(),
                       " has fencing=lease: only its owner can change its table of snapshots"));
    }
    const absl::Status acquired = co_await Acquire(volume, owner, head->log_id);
    if (!acquired.ok()) co_return acquired;
  }
  co_return co_await ReplaceOwn(lane, std::move(body), std::move(etag));
}

// The callers replace one HEAD at a time.
Task<absl::StatusOr<Etag>> LeaseStore::ReplaceOwn(Lane lane,
                                                  std::shared_ptr<const std::string> body,
                                                  Etag etag) {
  const Uuid volume = mine_->claim.volume;
  const Owner owner = mine_->claim.owner;
  if (!mine_->has_head) {
    const absl::StatusOr<GetResult> base = co_await GetHead(lane, volume);
    if (!base.ok()) co_return base.status();
    if (base->etag != etag) co_return absl::FailedPreconditionError("the HEAD is another one");
  } else if (mine_->etag != etag) {
    co_return absl::FailedPreconditionError("the HEAD is another one");
  }
  // Without conditions, an earlier one that is still under way would come back over this one.
  if (unanswered_head_.has_value() && unanswered_head_->body != *body) {
    const absl::Duration landed = unanswered_head_->ended + clock_.Landed();
    if (options_.sabotage != Sabotage::kHeadsOverlap && landed > scheduler_->Now()) {
      co_await Sleep(scheduler_, landed - scheduler_->Now());
    }
    unanswered_head_.reset();
  }
  absl::Status may = CheckCall();
  if (!may.ok()) co_return may;
  const absl::StatusOr<Etag> put = co_await Write(lane, OwnedHeadName(volume, owner), body);
  if (MayLand(put.status())) unanswered_head_ = Unanswered{*body, scheduler_->Now()};
  may = CheckAnswer();
  if (!may.ok()) co_return may;
  if (!put.ok()) co_return put;
  mine_->has_head = true;
  mine_->etag = EtagOf(owner, *put);
  co_return mine_->etag;
}

// Of the owner, or the one it follows. What an owner's absence says holds for the moment of the
// claim that named it, so that one must still be there afterwards.
Task<absl::StatusOr<GetResult>> LeaseStore::GetHead(Lane lane, Uuid volume) {
  for (int attempt = 0; attempt < kHeadTries; ++attempt) {
    absl::StatusOr<Claim> claim = absl::NotFoundError("");
    if (mine_.has_value() && mine_->claim.volume == volume) {
      claim = mine_->claim;
    } else {
      claim = co_await ReadClaim(volume);
    }
    if (!claim.ok()) co_return claim.status();
    const std::array<Owner, 3> owners = {claim->owner, claim->previous, claim->base};
    for (const Owner& owner : owners) {
      absl::StatusOr<GetResult> got = co_await Read(lane, OwnedHeadName(volume, owner));
      if (absl::IsNotFound(got.status())) continue;
      if (got.ok()) got->etag = EtagOf(owner, got->etag);
      co_return got;
    }
    const absl::StatusOr<Claim> again = co_await ReadClaim(volume);
    if (!again.ok()) co_return again.status();
    if (*again == *claim) break;
  }
  co_return absl::NotFoundError(absl::StrCat("volume ", volume.Hex(), " has a claim and no HEAD"));
}

Task<absl::Status> LeaseStore::DeleteVolume(Lane lane, Uuid volume) {
  // The HEAD that says "deleted" goes when no other is left, which it would lead back to.
  std::vector<std::string> names;
  std::vector<std::string> last;
  if (mine_.has_value()) {
    ++beating_;
    const Owner owner = mine_->claim.owner;
    last = {BeatName(volume, owner), OwnedHeadName(volume, owner)};
  } else {
    const absl::StatusOr<Claim> claim = co_await ReadClaim(volume);
    if (!claim.ok() && !absl::IsNotFound(claim.status())) co_return claim.status();
    if (claim.ok()) last = {OwnedHeadName(volume, claim->owner)};
    // Of an earlier deletion, which was broken off.
    co_await Sleep(scheduler_, clock_.Landed());
  }
  // Nothing that we wrote may come back.
  while (writes_under_way_ > 0) co_await Sleep(scheduler_, kSettlePoll);
  while (last_unanswered_ + clock_.Landed() > scheduler_->Now()) {
    co_await Sleep(scheduler_, last_unanswered_ + clock_.Landed() - scheduler_->Now());
  }
  std::string after;
  for (bool more = true; more;) {
    Completion<absl::StatusOr<ListResult>> done;
    store_->List(lane, VolumePrefix(volume), after, done.Callback());
    const absl::StatusOr<ListResult> listed = co_await done;
    if (!listed.ok()) co_return listed.status();
    more = listed->more && !listed->entries.empty();
    for (const ListEntry& entry : listed->entries) {
      after = entry.name;
      if (!IsLeaseName(entry.name) || entry.name == ClaimName(volume)) continue;
      if (std::find(last.begin(), last.end(), entry.name) == last.end()) {
        names.push_back(entry.name);
      }
    }
  }
  std::move(last.begin(), last.end(), std::back_inserter(names));
  for (std::string& name : names) {
    const absl::Status may = Check();
    if (!may.ok()) co_return may;
    const absl::Status removed = co_await Remove(lane, std::move(name));
    if (!removed.ok()) co_return removed;
  }
  mine_.reset();
  wanted_ = {};
  co_return co_await Remove(lane, ClaimName(volume));
}

}  // namespace diskd::object
