// SPDX-License-Identifier: Apache-2.0
//
// From memory to the device: records settle, and flushes wait for that.
#include <algorithm>

#include "drivers/object/engine/write_log.h"

namespace diskd::object {
namespace {

// Enough to keep a device busy.
constexpr int kMaxSending = 4;

}  // namespace

void WriteLog::Settle() {
  while (failure_.ok() && sent_lsn_ + 1 < next_lsn_ && sending_ < kMaxSending) {
    const size_t count = RecordsTogether();
    if (count == 0) return ArmSettleTimer();
    const uint64_t first = sent_lsn_ + 1;
    sent_lsn_ += count;
    ++sending_;
    const LogRecord& begin = *Find(first);
    const uint64_t blocks = Find(sent_lsn_)->end() - begin.position;
    device_->Write(ByteOffset(begin.position), {begin.memory, blocks * kBlockBytes},
                   [this, alive = std::weak_ptr<bool>(alive_), first,
                    last = sent_lsn_](const absl::Status& status) {
                     if (!alive.expired()) OnDevice(first, last, status);
                   });
  }
}

// How many that are next are to go in one write: they lie together in memory and on the device. 0:
// more may come, and nobody waits.
size_t WriteLog::RecordsTogether() const {
  const LogRecord* last = Find(sent_lsn_ + 1);
  size_t count = 1;
  uint64_t bytes = last->blocks * kBlockBytes;
  for (; bytes < options_.settle_bytes; ++count) {
    const LogRecord* const next = Find(last->lsn + 1);
    if (next == nullptr) return SettleNow() ? count : 0;
    const bool together = next->position == last->end() && next->position % ring_blocks_ != 0 &&
                          next->memory == last->memory + last->blocks * kBlockBytes;
    if (!together) break;
    bytes += next->blocks * kBlockBytes;
    last = next;
  }
  return count;
}

bool WriteLog::SettleNow() const {
  if (!waiting_.empty() || !flush_waiters_.empty() || starved_ || full_) return true;
  return scheduler_->Now() - Find(sent_lsn_ + 1)->appended >= options_.settle_delay;
}

void WriteLog::ArmSettleTimer() {
  if (std::exchange(settle_timer_, true)) return;
  const absl::Duration age = scheduler_->Now() - Find(sent_lsn_ + 1)->appended;
  scheduler_->After(options_.settle_delay - age, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    settle_timer_ = false;
    Settle();
  });
}

void WriteLog::OnDevice(uint64_t first, uint64_t last, const absl::Status& status) {
  --sending_;
  if (!status.ok()) return Fail(status);
  if (!failure_.ok()) return;
  const uint64_t front = records_.front().lsn;
  for (uint64_t lsn = first; lsn <= last; ++lsn) records_[lsn - front].on_device = true;
  while (settled_lsn_ < sent_lsn_ && Find(settled_lsn_ + 1)->on_device) {
    settled_sequence_ = Find(++settled_lsn_)->last_sequence();
  }
  AnswerWritten();
  StartFlush();
  Pump();
}

void WriteLog::Flush(Done done) {
  Pump();
  if (!failure_.ok()) return done(failure_);
  const WriteSequence target = next_sequence_ - 1;
  if (!pending_.empty()) {
    pending_.back().flushed = true;
  } else if (!records_.empty()) {
    records_.back().boundary = true;
  }
  if (options_.sabotage == Sabotage::kFlushNotWaiting) return done(absl::OkStatus());
  if (target <= durable_sequence_) return done(absl::OkStatus());
  flush_waiters_.push_back({target, std::move(done)});
  Settle();
  StartFlush();
}

void WriteLog::StartFlush() {
  if (flushing_ || !failure_.ok() || flush_waiters_.empty()) return;
  const bool useful =
      std::any_of(flush_waiters_.begin(), flush_waiters_.end(),
                  [this](const FlushWaiter& w) { return w.sequence <= settled_sequence_; });
  if (!useful) return;
  flushing_ = true;
  device_->Flush([this, alive = std::weak_ptr<bool>(alive_), lsn = settled_lsn_,
                  sequence = settled_sequence_](absl::Status status) {
    if (alive.expired()) return;
    flushing_ = false;
    if (!status.ok()) return Fail(status);
    if (!failure_.ok()) return;
    durable_lsn_ = lsn;
    durable_sequence_ = sequence;
    AnswerFlushed();
    StartFlush();
  });
}

void WriteLog::AnswerFlushed() {
  std::deque<FlushWaiter> waiters;
  waiters.swap(flush_waiters_);
  for (FlushWaiter& waiter : waiters) {
    if (waiter.sequence <= durable_sequence_) {
      waiter.done(absl::OkStatus());
    } else {
      flush_waiters_.push_back(std::move(waiter));
    }
  }
}

}  // namespace diskd::object
