// SPDX-License-Identifier: Apache-2.0
//
// Starting a log: its superblocks, and what a crash has left behind them.
#include <algorithm>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/engine/write_log.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr uint64_t kWindowBlocks = 256;

}  // namespace

// Reads the ring ahead in large pieces. A block that the disk has lost counts as zeros, which no
// checksum takes; so does what it can't give now, and problem() says that.
class WriteLog::Window {
 public:
  explicit Window(WriteLog* log) : log_(log), buffer_(kWindowBlocks) {}

  // The memory is valid until the next call.
  Task<const std::byte*> Block(uint64_t position) {
    if (position < first_ || position >= first_ + count_) {
      first_ = position;
      count_ = std::min(kWindowBlocks, log_->ring_blocks_ - position % log_->ring_blocks_);
      co_await Fill(position, count_);
    }
    co_return buffer_.block(position - first_);
  }

  const absl::Status& problem() const { return problem_; }

 private:
  Task<void> Fill(uint64_t position, uint64_t blocks) {
    std::byte* into = buffer_.block(position - first_);
    Completion<absl::Status> done;
    log_->device_->Read(log_->ByteOffset(position), {into, blocks * kBlockBytes}, done.Callback());
    const absl::Status status = co_await done;
    if (status.ok()) co_return;
    if (!absl::IsDataLoss(status)) problem_.Update(status);
    if (blocks == 1 || !problem_.ok()) {
      memset(into, 0, blocks * kBlockBytes);
      co_return;
    }
    for (uint64_t i = 0; i < blocks; ++i) co_await Fill(position + i, 1);
  }

  WriteLog* const log_;
  AlignedBuffer buffer_;
  uint64_t first_ = 0;
  uint64_t count_ = 0;
  absl::Status problem_;
};

// What looks like a record in the memory that the last process has left.
class WriteLog::Kept {
 public:
  explicit Kept(absl::Span<const std::byte> memory) {
    for (; memory.size() >= kBlockBytes; memory.remove_prefix(kBlockBytes)) {
      const auto header = ParseLogRecordHeader(BlockView(memory.data()), nullptr);
      if (header.ok()) found_[header->lsn].push_back(memory);
    }
  }

  // Each with all that is behind it.
  std::vector<absl::Span<const std::byte>> Records(uint64_t lsn) const {
    const auto it = found_.find(lsn);
    if (it == found_.end()) return {};
    return it->second;
  }

  struct Piece {
    uint64_t position;
    absl::Span<const std::byte> memory;
    uint64_t end() const { return position + memory.size() / kBlockBytes; }
  };
  // A record that belongs to the log, to be written there.
  void Take(uint64_t position, absl::Span<const std::byte> record, uint64_t ring_blocks) {
    Piece* const last = pieces_.empty() ? nullptr : &pieces_.back();
    if (last != nullptr && last->end() == position && position % ring_blocks != 0 &&
        last->memory.end() == record.begin()) {
      last->memory = {last->memory.data(), last->memory.size() + record.size()};
    } else {
      pieces_.push_back({position, record});
    }
  }
  const std::vector<Piece>& pieces() const { return pieces_; }

 private:
  absl::flat_hash_map<uint64_t, std::vector<absl::Span<const std::byte>>> found_;
  std::vector<Piece> pieces_;
};

Task<absl::StatusOr<LogSuperblock>> WriteLog::Load() {
  absl::StatusOr<LogSuperblock> newest = absl::NotFoundError("the log has no valid superblock");
  AlignedBuffer block(1);
  for (uint64_t slot = 0; slot < 2; ++slot) {
    Completion<absl::Status> done;
    device_->Read(slot * kBlockBytes, block.span(), done.Callback());
    const absl::Status status = co_await done;
    // A torn superblock may be unreadable; the other one is whole.
    if (!status.ok() && !absl::IsDataLoss(status)) co_return status;
    if (!status.ok()) continue;
    const absl::StatusOr<LogSuperblock> parsed = ParseLogSuperblock(BlockView(block.block(0)));
    if (absl::IsUnimplemented(parsed.status())) co_return parsed.status();
    if (!parsed.ok() || parsed->ring_blocks != ring_blocks_) continue;
    if (!newest.ok() || parsed->generation > newest->generation) newest = parsed;
  }
  co_return newest;
}

Task<absl::Status> WriteLog::Format(Uuid volume, uint64_t log_id, WriteSequence uploaded) {
  superblock_ = LogSuperblock{};
  superblock_.volume = volume;
  superblock_.log_id = log_id;
  superblock_.ring_blocks = ring_blocks_;
  superblock_.next_lsn = 1;
  superblock_.uploaded = uploaded;
  // Both slots, so that no older superblock can win.
  for (uint64_t generation = 1; generation <= 2; ++generation) {
    LogSuperblock next = superblock_;
    next.generation = generation;
    CO_RETURN_IF_ERROR(co_await WriteSuperblock(next));
  }
  start_ = head_ = 0;
  next_lsn_ = 1;
  last_crc_ = 0;
  records_.clear();
  ops_ = released_ops_ = 0;
  co_return absl::OkStatus();
}

// Whether a record of this header goes on at `position` from head_, next_lsn_ and last_crc_.
bool WriteLog::IsNext(const LogRecordHeader& header, uint64_t position) const {
  const uint64_t blocks = 1 + header.block_crcs.size();
  return header.log_id == superblock_.log_id && header.lsn == next_lsn_ &&
         header.previous_crc == last_crc_ && header.epoch >= epoch_ &&
         position % ring_blocks_ + blocks <= ring_blocks_ &&
         position + blocks - start_ <= ring_blocks_;
}

LogRecord WriteLog::GoOnWith(LogRecordHeader header, uint32_t crc, uint64_t position) {
  LogRecord record;
  record.lsn = header.lsn;
  record.position = position;
  record.blocks = 1 + header.block_crcs.size();
  record.first_sequence = header.first_sequence;
  record.ops = std::move(header.ops);
  record.crcs = std::move(header.block_crcs);
  record.previous_crc = header.previous_crc;
  record.crc = crc;
  record.on_device = true;
  record.appended = scheduler_->Now();
  epoch_ = header.epoch;
  head_ = record.end();
  next_lsn_ = record.lsn + 1;
  last_crc_ = crc;
  return record;
}

Task<absl::StatusOr<LogRecord>> WriteLog::ReadRecord(Window& window, uint64_t position) {
  uint32_t crc = 0;
  const std::byte* const block = co_await window.Block(position);
  absl::StatusOr<LogRecordHeader> header = ParseLogRecordHeader(BlockView(block), &crc);
  if (!header.ok()) co_return header.status();
  if (!IsNext(*header, position)) co_return absl::NotFoundError("not the next record");
  for (size_t i = 0; i < header->block_crcs.size(); ++i) {
    const std::byte* data = co_await window.Block(position + 1 + i);
    if (options_.sabotage == Sabotage::kNoCrcCheck) continue;
    if (Crc32c(data, kBlockBytes) != header->block_crcs[i]) {
      co_return absl::DataLossError("record data has a wrong checksum");
    }
  }
  co_return GoOnWith(*std::move(header), crc, position);
}

// The same from the memory of the last process.
absl::StatusOr<LogRecord> WriteLog::FindKept(Kept& kept) {
  for (const absl::Span<const std::byte> found : kept.Records(next_lsn_)) {
    uint32_t crc = 0;
    absl::StatusOr<LogRecordHeader> header = ParseLogRecordHeader(BlockView(found.data()), &crc);
    if (!header.ok()) continue;
    const uint64_t blocks = 1 + header->block_crcs.size();
    const uint64_t position = PlaceFor(head_, blocks);
    if (blocks * kBlockBytes > found.size() || !IsNext(*header, position)) continue;
    bool whole = true;
    for (uint64_t i = 1; i < blocks; ++i) {
      const std::byte* const data = found.data() + i * kBlockBytes;
      whole = whole && Crc32c(data, kBlockBytes) == header->block_crcs[i - 1];
    }
    if (!whole) continue;
    kept.Take(position, found.first(blocks * kBlockBytes), ring_blocks_);
    ++kept_records_;
    return GoOnWith(*std::move(header), crc, position);
  }
  return absl::NotFoundError("not the next record");
}

// What is in that memory is overwritten soon.
Task<absl::Status> WriteLog::WriteKept(const Kept& kept) {
  for (const Kept::Piece& piece : kept.pieces()) {
    Completion<absl::Status> written;
    device_->Write(ByteOffset(piece.position), piece.memory, written.Callback());
    CO_RETURN_IF_ERROR(co_await written);
  }
  co_return absl::OkStatus();
}

// Whether a record behind the missing one says that the missing one was flushed. Of each that is
// there the next one is looked for where it could be.
Task<bool> WriteLog::DamageFollows(Window& window, uint64_t position) {
  const uint64_t ring_end = position - position % ring_blocks_ + ring_blocks_;
  const auto reach = [ring_end](uint64_t from) {
    return std::min(from + kMaxOpBlocks + 2, ring_end);
  };
  for (uint64_t end = reach(position); position < end;) {
    const std::byte* block = co_await window.Block(position);
    const absl::StatusOr<LogRecordHeader> header = ParseLogRecordHeader(BlockView(block), nullptr);
    const bool later =
        header.ok() && header->log_id == superblock_.log_id && header->lsn > next_lsn_;
    if (later && header->durable_lsn >= next_lsn_) co_return true;
    position += later ? 1 + header->block_crcs.size() : 1;
    if (later) end = reach(position);
  }
  co_return false;
}

Task<absl::Status> WriteLog::Replay(LogSuperblock superblock,
                                    std::function<absl::Status(const LogRecord&)> sink) {
  superblock_ = superblock;
  start_ = head_ = superblock.start;
  next_lsn_ = superblock.next_lsn;
  last_crc_ = superblock.previous_crc;
  released_ = superblock.uploaded;
  Kept kept(lasting_);
  Window window(this);
  Window wrapped(this);  // both places that a record may be at stay in memory
  for (;;) {
    const uint64_t ring_start = PlaceFor(head_, ring_blocks_);
    absl::StatusOr<LogRecord> record = co_await ReadRecord(window, head_);
    if (!record.ok() && ring_start != head_) record = co_await ReadRecord(wrapped, ring_start);
    if (absl::IsUnimplemented(record.status())) co_return record.status();
    if (!record.ok() && options_.sabotage != Sabotage::kMemoryNotReplayed) record = FindKept(kept);
    if (!record.ok()) break;
    CO_RETURN_IF_ERROR(sink(*record));
    ops_ += record->ops.size();
    records_.push_back(std::move(*record));
  }
  CO_RETURN_IF_ERROR(window.problem());
  CO_RETURN_IF_ERROR(wrapped.problem());
  CO_RETURN_IF_ERROR(co_await WriteKept(kept));
  bool damage = co_await DamageFollows(window, head_);
  if (!damage) damage = co_await DamageFollows(wrapped, PlaceFor(head_, ring_blocks_));
  CO_RETURN_IF_ERROR(window.problem());
  CO_RETURN_IF_ERROR(wrapped.problem());
  if (damage) {
    co_return absl::DataLossError(
        absl::StrCat("record ", next_lsn_,
                     " of the write log was flushed and is damaged; the log's disk has "
                     "lost data. Writes behind it are gone"));
  }
  co_return absl::OkStatus();
}

}  // namespace diskd::object
