// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/write_log.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

// More in flight would only make records smaller.
constexpr int kMaxRecordsInFlight = 2;
// The superblock moves when so much of the ring can be given back.
constexpr uint64_t kAdvanceFraction = 8;
// ...and of so much while writes are slowed down.
constexpr uint64_t kThrottledAdvanceFraction = 32;
// A record takes at most this part of the ring, unless a single write is larger.
constexpr uint64_t kRecordFraction = 4;

// Room for the records in flight, whatever else is retained.
uint64_t MemoryBlocks(const Options& options, uint64_t ring_blocks) {
  const uint64_t largest = std::min(kMaxOpBlocks + 1, ring_blocks);
  return std::max(options.retained_log_bytes / kBlockBytes, kMaxRecordsInFlight * largest);
}

}  // namespace

WriteLog::WriteLog(LogDevice* device, Scheduler* scheduler, const Options& options,
                   ReadBarrier* readers, Observer observer)
    : device_(device),
      scheduler_(scheduler),
      options_(options),
      readers_(readers),
      observer_(std::move(observer)),
      ring_blocks_(device->size_bytes() / kBlockBytes - kLogRingStart / kBlockBytes),
      memory_(MemoryBlocks(options, ring_blocks_)) {}

uint64_t WriteLog::ByteOffset(uint64_t position) const {
  return kLogRingStart + position % ring_blocks_ * kBlockBytes;
}

// A record is in one piece: where it doesn't fit before the ring's end, it begins at its start.
uint64_t WriteLog::PlaceFor(uint64_t position, uint64_t blocks) const {
  const uint64_t offset = position % ring_blocks_;
  return offset + blocks <= ring_blocks_ ? position : position + ring_blocks_ - offset;
}

void WriteLog::Begin(uint64_t epoch, WriteSequence next, WriteSequence uploaded) {
  epoch_ = epoch;
  next_sequence_ = next;
  written_lsn_ = next_lsn_ - 1;
  written_sequence_ = next - 1;
  released_ = uploaded;
  released_lsn_ = first_lsn() - 1;
  released_end_ = start_;
  retained_from_ = next_lsn_;
  CountReleased();
}

void WriteLog::Append(const LogOp& op, const std::byte* data, bool fua, Done done) {
  if (!failure_.ok()) return done(failure_);
  pending_.push_back({op, data, fua, std::move(done)});
  ++next_sequence_;
}

void WriteLog::Pump() {
  while (failure_.ok() && !pending_.empty() && in_flight_ < kMaxRecordsInFlight) {
    if (!MayGoOn() || !BuildRecord()) return;
  }
}

bool WriteLog::MayGoOn() {
  const absl::Duration wait = next_record_ - scheduler_->Now();
  if (wait <= absl::ZeroDuration()) return true;
  if (!pump_later_) {
    pump_later_ = true;
    scheduler_->After(wait, [this, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      pump_later_ = false;
      Pump();
    });
  }
  return false;
}

double WriteLog::Fill() const {
  const uint64_t blocks = head_ - std::min(head_, released_end_);
  return static_cast<double>(std::max(blocks, ops_ - released_ops_)) /
         static_cast<double>(ring_blocks_);
}

void WriteLog::CountReleased() {
  const uint64_t before = released_end_;
  for (const LogRecord* next = Find(released_lsn_ + 1);
       next != nullptr && next->last_sequence() <= released_; next = Find(released_lsn_ + 1)) {
    released_lsn_ = next->lsn;
    released_end_ = next->position + next->blocks;
    released_ops_ += next->ops.size();
  }
  throttle_.OnDrained((released_end_ - before) * kBlockBytes, scheduler_->Now());
}

bool WriteLog::HasRoom(uint64_t end, size_t ops) const {
  return end - start_ <= ring_blocks_ && (ops_ == 0 || ops_ + ops <= ring_blocks_);
}

bool WriteLog::BuildRecord() {
  const uint64_t limit = std::min(kMaxOpBlocks, ring_blocks_ / kRecordFraction);
  size_t count = 0;
  uint64_t data_blocks = 0;
  for (; count < pending_.size(); ++count) {
    const LogOp& op = pending_[count].op;
    const uint64_t more = op.kind == OpKind::kWrite ? op.blocks : 0;
    if (!LogRecordFits(count + 1, data_blocks + more)) break;
    if (count > 0 && data_blocks + more > limit) break;
    data_blocks += more;
  }
  const uint64_t blocks = data_blocks + 1;
  const uint64_t place = PlaceFor(head_, blocks);
  if (!HasRoom(place + blocks, count)) {
    full_ = true;
    MaybeAdvance();
    observer_.on_full();
    return false;
  }
  full_ = false;
  std::byte* const memory = TakeMemory(blocks);
  if (memory == nullptr) return false;  // OnRecordWritten() tries again
  Waiting waiting;
  waiting.ops.assign(std::make_move_iterator(pending_.begin()),
                     std::make_move_iterator(pending_.begin() + count));
  pending_.erase(pending_.begin(), pending_.begin() + count);
  LogRecord record;
  record.lsn = next_lsn_++;
  record.position = place;
  record.blocks = blocks;
  record.first_sequence = next_sequence_ - pending_.size() - count;
  record.previous_crc = last_crc_;
  record.boundary = waiting.ops.back().flushed;
  record.appended = scheduler_->Now();
  record.memory = memory;
  Fill(record, waiting.ops);
  last_crc_ = record.crc;
  head_ = place + blocks;
  next_record_ =
      record.appended + throttle_.PauseAfter(blocks * kBlockBytes, Fill(), record.appended);
  ++in_flight_;
  ops_ += count;
  waiting_.push_back(std::move(waiting));
  records_.push_back(std::move(record));
  device_->Write(
      ByteOffset(place), {memory, blocks * kBlockBytes},
      [this, alive = std::weak_ptr<bool>(alive_), lsn = records_.back().lsn](absl::Status status) {
        if (!alive.expired()) OnRecordWritten(lsn, status);
      });
  return true;
}

void WriteLog::Fill(LogRecord& record, const std::vector<PendingOp>& ops) {
  std::byte* block = record.memory + kBlockBytes;
  for (const PendingOp& pending : ops) {
    record.ops.push_back(pending.op);
    if (pending.op.kind != OpKind::kWrite) continue;
    memcpy(block, pending.data, pending.op.blocks * kBlockBytes);
    for (uint64_t i = 0; i < pending.op.blocks; ++i, block += kBlockBytes) {
      record.crcs.push_back(Crc32c(block, kBlockBytes));
    }
  }
  LogRecordHeader header;
  header.log_id = superblock_.log_id;
  header.epoch = epoch_;
  header.lsn = record.lsn;
  header.durable_lsn = durable_lsn_;
  header.previous_crc = record.previous_crc;
  header.first_sequence = record.first_sequence;
  header.ops = record.ops;
  header.block_crcs = record.crcs;
  const std::string encoded = EncodeLogRecordHeader(header, &record.crc);
  memcpy(record.memory, encoded.data(), kBlockBytes);
}

void WriteLog::OnRecordWritten(uint64_t lsn, const absl::Status& status) {
  --in_flight_;
  if (!status.ok()) return Fail(status);
  if (!failure_.ok()) return;
  records_[lsn - records_.front().lsn].written = true;
  AnswerWritten();
  StartFlush();
  Pump();
}

void WriteLog::AnswerWritten() {
  while (!waiting_.empty()) {
    LogRecord& record = records_[written_lsn_ + 1 - records_.front().lsn];
    if (!record.written) return;
    ++written_lsn_;
    written_sequence_ = record.last_sequence();
    observer_.on_written(record);
    while (memory_.used_bytes() > options_.retained_log_bytes && ForgetOldest()) {
    }
    Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    for (PendingOp& op : waiting.ops) {
      if (op.fua && options_.sabotage != Sabotage::kFlushNotWaiting) {
        flush_waiters_.push_back({written_sequence_, std::move(op.done)});
      } else {
        op.done(absl::OkStatus());
      }
    }
  }
}

// nullptr: what is there is still being written.
std::byte* WriteLog::TakeMemory(uint64_t blocks) {
  std::byte* memory = memory_.Take(blocks);
  while (memory == nullptr && ForgetOldest()) memory = memory_.Take(blocks);
  return memory;
}

// The oldest record that is in memory, if it is on the device.
bool WriteLog::ForgetOldest() {
  if (retained_from_ > written_lsn_) return false;
  records_[retained_from_++ - records_.front().lsn].memory = nullptr;
  memory_.GiveBackOldest();
  return true;
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
  StartFlush();
}

void WriteLog::StartFlush() {
  if (flushing_ || !failure_.ok() || flush_waiters_.empty()) return;
  const bool useful =
      std::any_of(flush_waiters_.begin(), flush_waiters_.end(),
                  [this](const FlushWaiter& w) { return w.sequence <= written_sequence_; });
  if (!useful) return;
  flushing_ = true;
  device_->Flush([this, alive = std::weak_ptr<bool>(alive_), lsn = written_lsn_,
                  sequence = written_sequence_](absl::Status status) {
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

void WriteLog::Fail(const absl::Status& status) {
  if (!failure_.ok()) return;
  failure_ = status;
  std::deque<Waiting> waiting = std::move(waiting_);
  std::deque<PendingOp> pending = std::move(pending_);
  std::deque<FlushWaiter> flushes = std::move(flush_waiters_);
  for (Waiting& record : waiting) {
    for (PendingOp& op : record.ops) op.done(status);
  }
  for (PendingOp& op : pending) op.done(status);
  for (FlushWaiter& waiter : flushes) waiter.done(status);
  observer_.on_failure(status);
}

void WriteLog::Release(WriteSequence uploaded) {
  released_ = std::max(released_, uploaded);
  CountReleased();
  MaybeAdvance();
}

void WriteLog::MaybeAdvance() {
  if (advancing_ || !failure_.ok() || records_.empty()) return;
  const uint64_t worthwhile =
      ring_blocks_ / (throttled() ? kThrottledAdvanceFraction : kAdvanceFraction);
  uint64_t blocks = 0;
  for (const LogRecord& record : records_) {
    if (record.last_sequence() > released_ || record.lsn > written_lsn_) break;
    blocks = record.position + record.blocks - start_;
    if (blocks >= worthwhile) break;
  }
  if (blocks == 0 || (!full_ && blocks < worthwhile)) return;
  advancing_ = true;
  tasks_.Spawn(Advance());
}

Task<void> WriteLog::Advance() {
  LogSuperblock next = superblock_;
  ++next.generation;
  next.uploaded = released_;
  size_t count = 0;
  while (count < records_.size() && records_[count].last_sequence() <= released_ &&
         records_[count].lsn <= written_lsn_) {
    ++count;
  }
  const LogRecord& last = records_[count - 1];
  next.start = last.position + last.blocks;
  next.next_lsn = last.lsn + 1;
  next.previous_crc = last.crc;
  co_await readers_->WaitForReaders();
  const absl::Status status = co_await WriteSuperblock(next);
  advancing_ = false;
  if (!status.ok()) {
    Fail(status);
    co_return;
  }
  for (size_t i = 0; i < count; ++i) {
    if (records_.front().lsn == retained_from_) ForgetOldest();
    ops_ -= records_.front().ops.size();
    released_ops_ -= records_.front().ops.size();
    records_.pop_front();
  }
  start_ = next.start;
  Pump();
  MaybeAdvance();
}

Task<absl::Status> WriteLog::WriteSuperblock(const LogSuperblock& superblock) {
  AlignedBuffer block(1);
  const std::string encoded = EncodeLogSuperblock(superblock);
  memcpy(block.block(0), encoded.data(), kBlockBytes);
  Completion<absl::Status> written;
  device_->Write(superblock.generation % 2 * kBlockBytes, block.span(), written.Callback());
  CO_RETURN_IF_ERROR(co_await written);
  Completion<absl::Status> flushed;
  device_->Flush(flushed.Callback());
  CO_RETURN_IF_ERROR(co_await flushed);
  superblock_ = superblock;
  co_return absl::OkStatus();
}

const LogRecord* WriteLog::Find(uint64_t lsn) const {
  if (records_.empty() || lsn < records_.front().lsn || lsn > records_.back().lsn) return nullptr;
  return &records_[lsn - records_.front().lsn];
}

// False: not all of it is in memory.
bool WriteLog::CopyRetained(uint64_t position, uint64_t blocks, std::byte* into) const {
  auto record = std::upper_bound(
      records_.begin(), records_.end(), position,
      [](uint64_t wanted, const LogRecord& behind) { return wanted < behind.position; });
  if (record != records_.begin()) --record;
  for (; blocks > 0; ++record) {
    if (record == records_.end() || record->memory == nullptr) return false;
    const uint64_t end = record->position + record->blocks;
    if (position < record->position || position >= end) return false;
    const uint64_t run = std::min(blocks, end - position);
    memcpy(into, record->memory + (position - record->position) * kBlockBytes, run * kBlockBytes);
    position += run;
    blocks -= run;
    into += run * kBlockBytes;
  }
  return true;
}

Task<absl::Status> WriteLog::Read(uint64_t position, uint64_t blocks, std::byte* into) {
  if (CopyRetained(position, blocks, into)) co_return absl::OkStatus();
  Completion<absl::Status> done;
  device_->Read(ByteOffset(position), {into, blocks * kBlockBytes}, done.Callback());
  co_return co_await done;
}

}  // namespace diskd::object
