// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/lease_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/format/object.h"

namespace diskd::object {
namespace {

constexpr absl::Duration kReleaseLimit = absl::Seconds(10);

}  // namespace

LeaseStore::LeaseStore(Store* store, Scheduler* scheduler, const Options& options,
                       std::function<void(const absl::Status&)> on_end)
    : store_(store),
      scheduler_(scheduler),
      options_(options),
      on_end_(std::move(on_end)),
      clock_(options_.lease) {}

LeaseStore::~LeaseStore() { tasks_.Clear(); }

void LeaseStore::End(const absl::Status& status) {
  if (!ended_.ok()) return;
  ended_ = status;
  ++beating_;
  on_end_(status);
}

absl::Status LeaseStore::MayAct() const {
  if (!ended_.ok() || !mine_.has_value() || clock_.MayAct(scheduler_->Now())) return ended_;
  return absl::FailedPreconditionError(
      absl::StrCat("the lease of volume ", mine_->claim.volume.Hex(), " (epoch ",
                   mine_->claim.owner.epoch, ") has ended: the store could not be asked for ",
                   absl::FormatDuration(clock_.lease()), ", another node may have the volume"));
}

absl::Status LeaseStore::Check() {
  const absl::Status may = MayAct();
  if (!may.ok()) End(may);
  return may;
}

// Before and after each call.
absl::Status LeaseStore::CheckCall() {
  const bool ignored = options_.sabotage == Sabotage::kCollectBeyondLease && mine_.has_value();
  return ignored ? absl::OkStatus() : Check();
}

absl::Status LeaseStore::CheckAnswer() {
  return options_.sabotage == Sabotage::kLateAnswer ? absl::OkStatus() : CheckCall();
}

void LeaseStore::NoteWritten(const absl::Status& status) {
  --writes_under_way_;
  if (MayLand(status)) last_unanswered_ = scheduler_->Now();
}

absl::Duration LeaseStore::MaySendUntil() const {
  return mine_.has_value() ? clock_.until() : scheduler_->Now() + clock_.lease();
}

Task<absl::StatusOr<Etag>> LeaseStore::Write(Lane lane, std::string name,
                                             std::shared_ptr<const std::string> body) {
  co_return co_await WriteUntil(MaySendUntil(), lane, std::move(name), std::move(body));
}

Task<absl::StatusOr<Etag>> LeaseStore::WriteUntil(absl::Duration until, Lane lane, std::string name,
                                                  std::shared_ptr<const std::string> body) {
  if (options_.gate != nullptr) options_.gate->OpenUntil(until);
  Completion<absl::StatusOr<Etag>> done;
  ++writes_under_way_;
  store_->Put(lane, name, std::move(body), PutCondition::None(), done.Callback());
  absl::StatusOr<Etag> result = co_await done;
  NoteWritten(result.status());
  co_return result;
}

Task<absl::Status> LeaseStore::Remove(Lane lane, std::string name) {
  if (options_.gate != nullptr) options_.gate->OpenUntil(MaySendUntil());
  Completion<absl::Status> done;
  ++writes_under_way_;
  store_->Delete(lane, name, done.Callback());
  absl::Status status = co_await done;
  NoteWritten(status);
  co_return status;
}

void LeaseStore::Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
                     PutCondition condition, PutDone done) {
  if (const std::optional<Uuid> volume = VolumeOfHead(name); volume.has_value()) {
    tasks_.Spawn(PutHead(lane, *volume, std::move(body), std::move(condition), std::move(done)));
  } else {
    tasks_.Spawn(PutObject(lane, name, std::move(body), std::move(done)));
  }
}

// Nobody but us writes such a name, and always the same.
Task<void> LeaseStore::PutObject(Lane lane, std::string name,
                                 std::shared_ptr<const std::string> body, PutDone done) {
  absl::Status may = CheckCall();
  if (may.ok() && !mine_.has_value()) {
    may = absl::InternalError(absl::StrCat(name, " is to be written by who does not own it"));
  }
  if (!may.ok()) {
    co_await Sleep(scheduler_, absl::ZeroDuration());
    done(may);
    co_return;
  }
  // Uploads at least are held back.
  if (options_.sabotage == Sabotage::kCollectBeyondLease && lane == Lane::kUpload &&
      !Check().ok()) {
    const absl::StatusOr<ParsedObjectName> parsed = ParseObjectName(name);
    if (parsed.ok() && parsed->sequence < kFirstSideSequence) co_return;
  }
  absl::StatusOr<Etag> result = co_await Write(lane, std::move(name), std::move(body));
  may = CheckAnswer();
  if (!may.ok()) result = may;
  done(std::move(result));
}

void LeaseStore::Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
                     GetDone done) {
  tasks_.Spawn(GetObject(lane, name, range, std::move(done)));
}

Task<void> LeaseStore::GetObject(Lane lane, std::string name, std::optional<ByteRange> range,
                                 GetDone done) {
  absl::Status may = CheckCall();
  if (!may.ok()) {
    co_await Sleep(scheduler_, absl::ZeroDuration());
    done(may);
    co_return;
  }
  absl::StatusOr<GetResult> result = GetResult();
  const std::optional<Uuid> volume = VolumeOfHead(name);
  if (volume.has_value()) {
    result = co_await GetHead(lane, *volume);
  } else {
    Completion<absl::StatusOr<GetResult>> got;
    store_->Get(lane, name, range, got.Callback());
    result = co_await got;
  }
  may = CheckAnswer();
  if (!may.ok()) result = may;
  done(std::move(result));
}

void LeaseStore::Head(Lane lane, const std::string& name, HeadDone done) {
  Get(lane, name, std::nullopt, [done = std::move(done)](absl::StatusOr<GetResult> got) {
    if (!got.ok()) return done(got.status());
    done(HeadResult{got->etag, got->object_bytes});
  });
}

void LeaseStore::List(Lane lane, const std::string& prefix, const std::string& after,
                      ListDone done) {
  tasks_.Spawn(ListObjects(lane, prefix, after, std::move(done)));
}

Task<void> LeaseStore::ListObjects(Lane lane, std::string prefix, std::string after,
                                   ListDone done) {
  for (;;) {
    absl::Status may = CheckCall();
    if (!may.ok()) {
      co_await Sleep(scheduler_, absl::ZeroDuration());
      done(may);
      co_return;
    }
    Completion<absl::StatusOr<ListResult>> listed;
    store_->List(lane, prefix, after, listed.Callback());
    absl::StatusOr<ListResult> result = co_await listed;
    if (result.ok() && !result->entries.empty()) {
      after = result->entries.back().name;
      auto& entries = result->entries;
      entries.erase(std::remove_if(entries.begin(), entries.end(),
                                   [](const ListEntry& entry) { return IsLeaseName(entry.name); }),
                    entries.end());
      // Callers take an empty page for the last one.
      if (entries.empty() && result->more) continue;
    }
    may = CheckAnswer();
    if (!may.ok()) result = may;
    done(std::move(result));
    co_return;
  }
}

void LeaseStore::Delete(Lane lane, const std::string& name, DeleteDone done) {
  tasks_.Spawn(DeleteObject(lane, name, std::move(done)));
}

// Without a claim it is of a volume that was deleted, which nobody opens any more.
Task<void> LeaseStore::DeleteObject(Lane lane, std::string name, DeleteDone done) {
  const std::optional<Uuid> volume = VolumeOfHead(name);
  absl::Status status = CheckCall();
  if (!status.ok()) {
    co_await Sleep(scheduler_, absl::ZeroDuration());
  } else if (volume.has_value()) {
    status = co_await DeleteVolume(lane, *volume);
  } else {
    status = co_await Remove(lane, std::move(name));
    const absl::Status may = CheckAnswer();
    if (!may.ok()) status = may;
  }
  done(status);
}

Task<void> LeaseStore::Release() {
  if (!mine_.has_value() || !Check().ok()) co_return;
  const Claim claim = mine_->claim;
  ended_ = absl::FailedPreconditionError(absl::StrCat("volume ", claim.volume.Hex(), " is closed"));
  ++beating_;
  const absl::Duration give_up = scheduler_->Now() + kReleaseLimit;
  while (writes_under_way_ > 0) {
    if (scheduler_->Now() >= give_up) co_return;
    co_await Sleep(scheduler_, kSettlePoll);
  }
  // One that may land means that the next owner has to wait for it.
  if (last_unanswered_ + clock_.Landed() > scheduler_->Now()) co_return;
  // Who does not see it only waits longer.
  (void)co_await SendBeat(claim.volume, claim.owner, /*released=*/true);
}

}  // namespace diskd::object
