// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/store_client.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace diskd::object {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(10);
constexpr absl::Duration kLongestRetryAfter = absl::Seconds(60);
// Until what the budget did not allow asks again.
constexpr absl::Duration kBudgetPause = absl::Seconds(1);
constexpr int kAbsentTries = 3;
constexpr absl::Duration kTriesWithin = absl::Seconds(10);
// Of an object that the store can't read, while it can others.
constexpr int kUnreadableTries = 4;
// A transport may flip bits that its own checksums miss.
constexpr int kCorruptTries = 6;

}  // namespace

bool StoreClient::MayPass(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

bool StoreClient::Again(const absl::Status& status, absl::Duration begin) const {
  const bool passes = MayPass(status) || absl::IsDataLoss(status);
  return passes && scheduler_->Now() - begin < patience_;
}

StoreClient::Retry::Retry(StoreClient* client, Lane lane, Patience patience)
    : client_(client), lane_(lane), begin_(client->scheduler_->Now()), patience_(patience) {
  patience_.unreached = std::min(patience.unreached, client->patience_);
}

Task<bool> StoreClient::Retry::Again(absl::Status status) {
  const absl::Duration gone = client_->scheduler_->Now() - begin_;
  if (MayPass(status)) {
    const absl::Duration pause = client_->PauseAfter(attempt_++, status);
    const bool few = attempt_ < patience_.tries && gone + pause < kTriesWithin;
    if (gone + pause > patience_.unreached && !few) co_return false;
    const absl::Duration end = begin_ + std::max(patience_.unreached, gone + pause);
    co_return co_await client_->Rest(lane_, pause, end);
  }
  // These the store has answered, and they are few.
  absl::Duration pause;
  if (absl::IsNotFound(status)) {
    ++absent_;
    pause = client_->PauseAfter(std::max(0, absent_ - kAbsentTries), status);
    if (absent_ >= kAbsentTries && gone + pause > patience_.absent) co_return false;
  } else if (absl::IsUnknown(status)) {
    if (++unreadable_ >= kUnreadableTries) co_return false;
    pause = client_->PauseAfter(unreadable_, status);
  } else {
    co_return false;
  }
  ++client_->counters_.retries;
  co_await Sleep(client_->scheduler_, pause);
  co_return true;
}

Task<bool> StoreClient::Pause(Lane lane, int attempt, absl::Status status, absl::Duration begin) {
  co_return co_await Rest(lane, PauseAfter(attempt, status), begin + patience_);
}

Task<bool> StoreClient::Rest(Lane lane, absl::Duration pause, absl::Duration end) {
  co_await Sleep(scheduler_, pause);
  while (!BudgetOf(lane).Take(scheduler_->Now())) {
    if (scheduler_->Now() >= end) co_return false;
    co_await Sleep(scheduler_, Jittered(kBudgetPause));
  }
  ++counters_.retries;
  co_return true;
}

void StoreClient::Note(Lane lane, const absl::Status& status) {
  const bool answered =
      status.ok() || absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
  if (answered) BudgetOf(lane).OnAnswer();
}

absl::Duration StoreClient::Jittered(absl::Duration pause) {
  return pause / 2 + pause * (static_cast<double>(scheduler_->Random() % 1000) / 2000);
}

absl::Duration StoreClient::PauseAfter(int attempt, const absl::Status& status) {
  absl::Duration pause =
      Jittered(std::min(kLongestPause, kFirstPause * (1 << std::min(attempt, 10))));
  uint64_t milliseconds = 0;
  const auto asked = status.GetPayload(kRetryAfterPayload);
  if (asked.has_value() && absl::SimpleAtoi(std::string(*asked), &milliseconds)) {
    pause = std::max(pause, std::min(kLongestRetryAfter, absl::Milliseconds(milliseconds)));
  }
  return pause;
}

Task<absl::StatusOr<Etag>> StoreClient::Put(Lane lane, std::string name,
                                            std::shared_ptr<const std::string> body,
                                            PutCondition condition, bool* may_land) {
  const absl::Duration begin = scheduler_->Now();
  for (int attempt = 0;; ++attempt) {
    ++counters_.puts;
    counters_.put_bytes += body->size();
    Completion<absl::StatusOr<Etag>> done;
    store_->Put(lane, name, body, condition, done.Callback());
    absl::StatusOr<Etag> result = co_await done;
    Note(lane, result.status());
    if (may_land != nullptr && MayLand(result.status())) *may_land = true;
    if (result.ok() || !Again(result.status(), begin)) co_return result;
    const bool again = co_await Pause(lane, attempt, result.status(), begin);
    if (!again) co_return result;
  }
}

Task<absl::StatusOr<GetResult>> StoreClient::Get(Lane lane, std::string name,
                                                 std::optional<ByteRange> range,
                                                 Patience patience) {
  Retry retry(this, lane, patience);
  for (;;) {
    ++counters_.gets;
    Completion<absl::StatusOr<GetResult>> done;
    store_->Get(lane, name, range, done.Callback());
    absl::StatusOr<GetResult> result = co_await done;
    Note(lane, result.status());
    if (result.ok()) {
      counters_.get_bytes += result->body.size();
      co_return result;
    }
    absl::Status status = result.status();
    // Of the transport; here it means that the object is damaged.
    if (absl::IsDataLoss(status)) status = absl::UnavailableError(status.message());
    const bool again = co_await retry.Again(status);
    if (again) continue;
    if (absl::IsUnknown(status)) {
      status =
          absl::DataLossError(absl::StrCat("the store can't read ", name, ": ", status.message()));
    }
    co_return status;
  }
}

Task<absl::StatusOr<ListResult>> StoreClient::List(Lane lane, std::string prefix,
                                                   std::string after) {
  const absl::Duration begin = scheduler_->Now();
  for (int attempt = 0;; ++attempt) {
    ++counters_.lists;
    Completion<absl::StatusOr<ListResult>> done;
    store_->List(lane, prefix, after, done.Callback());
    absl::StatusOr<ListResult> result = co_await done;
    Note(lane, result.status());
    if (result.ok() || !Again(result.status(), begin)) co_return result;
    const bool again = co_await Pause(lane, attempt, result.status(), begin);
    if (!again) co_return result;
  }
}

Task<absl::Status> StoreClient::Delete(Lane lane, std::string name, Patience patience,
                                       bool* may_land) {
  Retry retry(this, lane, patience);
  for (;;) {
    ++counters_.deletes;
    Completion<absl::Status> done;
    store_->Delete(lane, name, done.Callback());
    absl::Status status = co_await done;
    Note(lane, status);
    if (may_land != nullptr && MayLand(status)) *may_land = true;
    if (absl::IsDataLoss(status)) status = absl::UnavailableError(status.message());
    const bool again = co_await retry.Again(status);
    if (!again) co_return status;
  }
}

Task<absl::StatusOr<ObjectHeader>> StoreClient::GetHeader(Lane lane, Uuid volume, uint64_t epoch,
                                                          uint64_t nonce, uint32_t sequence,
                                                          Patience patience) {
  const std::string name = ObjectName(volume, epoch, nonce, sequence);
  absl::Status problem;
  uint64_t want = kHeaderFetchBytes;
  for (int attempt = 0; attempt < kCorruptTries;) {
    absl::StatusOr<GetResult> got = co_await Get(lane, name, ByteRange{0, want}, patience);
    if (!got.ok()) co_return got.status();
    const absl::StatusOr<uint32_t> length = ParseObjectHeaderLength(got->body);
    if (length.ok() && *length > want) {
      want = *length;
      continue;
    }
    absl::StatusOr<ObjectHeader> header = ParseObjectHeader(got->body, key_);
    if (header.ok() && (header->volume != volume || header->epoch != epoch ||
                        header->nonce != nonce || header->sequence != sequence)) {
      header = absl::DataLossError("is another object's");
    }
    if (header.ok()) co_return header;
    // A flipped bit looks like anything, a new version too.
    CountCorrupt();
    problem = header.status();
    want = kHeaderFetchBytes;
    ++counters_.retries;
    co_await Sleep(scheduler_, PauseAfter(attempt++, problem));
  }
  co_return absl::Status(problem.code(), absl::StrCat("object ", name, ": ", problem.message()));
}

Task<absl::StatusOr<ObjectHeader>> StoreClient::Create(Lane lane, ObjectHeader header,
                                                       std::shared_ptr<const std::string> body) {
  const std::string name = ObjectName(header.volume, header.epoch, header.nonce, header.sequence);
  for (int attempt = 0; attempt < kAbsentTries; ++attempt) {
    const absl::StatusOr<Etag> put = co_await Put(lane, name, body, PutCondition::IfAbsent());
    if (put.ok()) co_return header;
    if (!absl::IsFailedPrecondition(put.status())) co_return put.status();
    absl::StatusOr<ObjectHeader> there =
        co_await GetHeader(lane, header.volume, header.epoch, header.nonce, header.sequence);
    if (!absl::IsNotFound(there.status())) co_return there;
  }
  co_return absl::DataLossError(absl::StrCat("the store says both that ", name,
                                             " exists and that it doesn't; it is not usable"));
}

}  // namespace diskd::object
