// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/head_keeper.h"

#include "absl/strings/str_cat.h"

namespace diskd::object {
namespace {

constexpr int kCorruptTries = 6;
// Somebody else changes the HEAD a few times in its life, not as fast as we can.
constexpr int kLostRaces = 100;

}  // namespace

absl::Status CheckKey(const Head& head, const Options& options) {
  const std::string volume = head.volume.Hex();
  if (!head.encrypted) {
    if (!options.key.has_value()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("volume ", volume, " is not encrypted: give no key, or copy it"));
  }
  if (!options.key.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", volume, " is encrypted: give its key"));
  }
  if (CheckOfKey(*options.key) == head.key_check) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("the key is not the one that volume ", volume,
                                                  " is encrypted with: give that one"));
}

Task<absl::StatusOr<Etag>> HeadKeeper::Put(const Head& head, PutCondition condition) {
  co_return co_await store_->Put(Lane::kUpload, name_,
                                 std::make_shared<const std::string>(EncodeHead(head)), condition,
                                 &may_land_);
}

Task<absl::Status> HeadKeeper::Load() {
  absl::Status problem;
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    const absl::StatusOr<GetResult> got = co_await store_->Get(Lane::kUpload, name_, std::nullopt);
    if (!got.ok()) co_return got.status();
    absl::StatusOr<Head> head = ParseHead(got->body);
    if (head.ok() && head->volume != volume_) {
      head = absl::DataLossError("HEAD belongs to another volume");
    }
    if (head.ok()) {
      head_ = std::move(*head);
      etag_ = got->etag;
      co_return absl::OkStatus();
    }
    problem = head.status();
    store_->CountCorrupt();
  }
  co_return absl::Status(problem.code(), absl::StrCat(name_, ": ", problem.message()));
}

Task<absl::Status> HeadKeeper::Create(Head head) {
  const absl::StatusOr<Etag> put = co_await Put(head, PutCondition::IfAbsent());
  if (put.ok()) {
    head_ = std::move(head);
    etag_ = *put;
    co_return absl::OkStatus();
  }
  if (!absl::IsFailedPrecondition(put.status())) co_return put.status();
  CO_RETURN_IF_ERROR(co_await Load());
  if (head_ == head) co_return absl::OkStatus();
  co_return absl::AlreadyExistsError(absl::StrCat(name_, " exists"));
}

Task<absl::Status> HeadKeeper::TakeOver(uint64_t nonce,
                                        std::function<Task<absl::Status>(Head&)> edit) {
  for (int race = 0; race < kLostRaces; ++race) {
    Head next = head_;
    ++next.epoch;
    ++next.generation;
    next.nonce = nonce;
    CO_RETURN_IF_ERROR(co_await edit(next));
    const absl::StatusOr<Etag> put = co_await Put(next, PutCondition::IfMatch(etag_));
    if (put.ok()) {
      head_ = std::move(next);
      etag_ = *put;
      co_return absl::OkStatus();
    }
    if (!absl::IsFailedPrecondition(put.status())) co_return put.status();
    CO_RETURN_IF_ERROR(co_await Load());
    if (head_.nonce == nonce) co_return absl::OkStatus();
  }
  co_return absl::AbortedError(absl::StrCat(name_, " is being replaced by others all the time"));
}

Task<absl::Status> HeadKeeper::Update(Edit edit) {
  const Mutex::Guard guard = co_await mutex_.Lock();
  // The etag is the new owner's by now.
  CO_RETURN_IF_ERROR(lost_);
  for (int race = 0; race < kLostRaces; ++race) {
    Head next = head_;
    ++next.generation;
    CO_RETURN_IF_ERROR(edit(next));
    const absl::StatusOr<Etag> put = co_await Put(next, PutCondition::IfMatch(etag_));
    if (put.ok()) {
      head_ = std::move(next);
      etag_ = *put;
      co_return absl::OkStatus();
    }
    if (!absl::IsFailedPrecondition(put.status())) co_return put.status();
    const Head mine = head_;
    CO_RETURN_IF_ERROR(co_await Load());
    if (head_ == next) co_return absl::OkStatus();
    if (head_.epoch != mine.epoch || head_.nonce != mine.nonce) {
      if (options_.sabotage == Sabotage::kEpochNotChecked) {
        head_ = mine;
        continue;
      }
      const uint64_t epoch = head_.epoch;
      head_ = mine;  // readers of ours still find their streams
      lost_ = absl::FailedPreconditionError(
          absl::StrCat(name_, " belongs to epoch ", epoch, " now, not to our ", mine.epoch,
                       ": another node has taken the volume over"));
      co_return lost_;
    }
  }
  co_return absl::AbortedError(absl::StrCat(name_, " is being replaced by others all the time"));
}

Task<absl::Status> HeadKeeper::EditForeign(Edit edit) {
  for (int race = 0; race < kLostRaces; ++race) {
    CO_RETURN_IF_ERROR(co_await Load());
    Head next = head_;
    ++next.generation;
    CO_RETURN_IF_ERROR(edit(next));
    if (next.snapshots == head_.snapshots) co_return absl::OkStatus();
    const absl::StatusOr<Etag> put = co_await Put(next, PutCondition::IfMatch(etag_));
    if (put.ok()) {
      head_ = std::move(next);
      etag_ = *put;
      co_return absl::OkStatus();
    }
    if (!absl::IsFailedPrecondition(put.status())) co_return put.status();
  }
  co_return absl::AbortedError(absl::StrCat(name_, " is being replaced by others all the time"));
}

}  // namespace diskd::object
