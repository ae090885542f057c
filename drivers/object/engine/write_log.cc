// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/write_log.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

// More in flight would only make records smaller.
constexpr size_t kMaxRecordsInFlight = 2;
// The superblock moves when so much of the ring can be given back.
constexpr uint64_t kAdvanceFraction = 8;
// ...and of so much while writes are slowed down.
constexpr uint64_t kThrottledAdvanceFraction = 32;
// A record takes at most this part of the ring, unless a single write is larger.
constexpr uint64_t kRecordFraction = 4;

uint64_t RingBlocks(uint64_t device_bytes) { return (device_bytes - kLogRingStart) / kBlockBytes; }

}  // namespace

// Room for the records in flight, whatever else is retained.
uint64_t WriteLog::MemoryBytes(const Options& options, uint64_t device_bytes) {
  const uint64_t largest = std::min(kMaxOpBlocks + 1, RingBlocks(device_bytes));
  return std::max(options.retained_log_bytes / kBlockBytes, kMaxRecordsInFlight * largest) *
         kBlockBytes;
}

WriteLog::WriteLog(LogDevice* device, absl::Span<std::byte> memory, Scheduler* scheduler,
                   const Options& options, ReadBarrier* readers, Observer observer)
    : device_(device),
      lasting_(memory),
      scheduler_(scheduler),
      options_(options),
      readers_(readers),
      observer_(std::move(observer)),
      ring_blocks_(RingBlocks(device->size_bytes())),
      memory_(lasting_, MemoryBytes(options, device->size_bytes()) / kBlockBytes) {}

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
  written_lsn_ = sent_lsn_ = settled_lsn_ = next_lsn_ - 1;
  settled_sequence_ = next - 1;
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
  while (failure_.ok() && !pending_.empty() && waiting_.size() < kMaxRecordsInFlight) {
    if (!MayGoOn() || !BuildRecord()) break;
    AnswerWritten();
  }
  Settle();
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
    released_end_ = next->end();
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
  starved_ = memory == nullptr;
  if (starved_) return false;  // OnDevice() tries again
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
  ops_ += count;
  waiting_.push_back(std::move(waiting));
  records_.push_back(std::move(record));
  return true;
}

void WriteLog::Fill(LogRecord& record, const std::vector<PendingOp>& ops) {
  std::byte* block = record.memory + kBlockBytes;
  record.ops.reserve(ops.size());
  record.crcs.reserve(record.blocks - 1);
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
  encoded_ = EncodeLogRecordHeader(header, &record.crc, std::move(encoded_));
  memcpy(record.memory, encoded_.data(), encoded_.size());
}

// Who is answered may write again, inside the call.
void WriteLog::AnswerWritten() {
  if (std::exchange(answering_, true)) return;
  while (!waiting_.empty() && (!lasting_.empty() || written_lsn_ < settled_lsn_)) {
    const LogRecord& record = records_[++written_lsn_ - records_.front().lsn];
    const WriteSequence sequence = record.last_sequence();
    observer_.on_written(record);
    while (memory_.used_bytes() > options_.retained_log_bytes && ForgetOldest()) {
    }
    Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    for (PendingOp& op : waiting.ops) {
      if (op.fua && options_.sabotage != Sabotage::kFlushNotWaiting) {
        flush_waiters_.push_back({sequence, std::move(op.done)});
      } else {
        op.done(absl::OkStatus());
      }
    }
  }
  answering_ = false;
}

// nullptr: what is there has to settle first.
std::byte* WriteLog::TakeMemory(uint64_t blocks) {
  std::byte* memory = memory_.Take(blocks);
  while (memory == nullptr && ForgetOldest()) memory = memory_.Take(blocks);
  return memory;
}

// The oldest record that is in memory, if it is settled and answered.
bool WriteLog::ForgetOldest() {
  if (retained_from_ > std::min(settled_lsn_, written_lsn_)) return false;
  records_[retained_from_++ - records_.front().lsn].memory = nullptr;
  memory_.GiveBackOldest();
  return true;
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
    if (record.last_sequence() > released_ || record.lsn > settled_lsn_) break;
    blocks = record.end() - start_;
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
         records_[count].lsn <= settled_lsn_) {
    ++count;
  }
  const LogRecord& last = records_[count - 1];
  next.start = last.end();
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

// From the range's end backwards, as far as memory has it; how many blocks before that are on the
// device: the oldest are forgotten first.
uint64_t WriteLog::CopyRetained(uint64_t position, uint64_t blocks, std::byte* into) const {
  auto behind =
      std::lower_bound(records_.begin(), records_.end(), position + blocks,
                       [](const LogRecord& record, uint64_t end) { return record.position < end; });
  while (blocks > 0 && behind != records_.begin()) {
    const LogRecord& record = *--behind;
    const uint64_t end = position + blocks;
    if (record.memory == nullptr || record.end() < end) break;
    const uint64_t from = std::max(position, record.position);
    memcpy(into + (from - position) * kBlockBytes,
           record.memory + (from - record.position) * kBlockBytes, (end - from) * kBlockBytes);
    blocks = from - position;
  }
  return blocks;
}

Task<absl::Status> WriteLog::Read(uint64_t position, uint64_t blocks, std::byte* into) {
  const uint64_t left = CopyRetained(position, blocks, into);
  if (left == 0) co_return absl::OkStatus();
  Completion<absl::Status> done;
  device_->Read(ByteOffset(position), {into, left * kBlockBytes}, done.Callback());
  co_return co_await done;
}

}  // namespace diskd::object
