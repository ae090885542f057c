// SPDX-License-Identifier: Apache-2.0
//
// From the log to the store: objects are cut from consecutive records, stored in parallel, and
// count only as a gap-free run. Everything the store shows is a prefix of what was written.
#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/batch.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/log_gather.h"
#include "drivers/object/engine/packer.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

// 1/this of a checkpoint's objects may be cut while the one before is made.
constexpr int kCutBesidePart = 2;
// How long the memory of a body waits for the next one.
constexpr absl::Duration kBodyKept = absl::Seconds(10);
// Of an object on its way into the read cache, before others have their turn.
constexpr size_t kBlocksPerTurn = 64;
// Operations in one object. Each makes at most two extents, for which three quarters of a header
// are enough; the rest is for the checksums of the data.
constexpr size_t kMaxObjectOps = 16 << 10;
static_assert(2 * kMaxObjectOps * kLogOpBytes <= kMaxObjectHeaderBytes / 4 * 3);

}  // namespace

void Engine::ArmUploadTimer() {
  const LogRecord* oldest = log_.Find(cut_lsn_);
  if (upload_timer_ || oldest == nullptr) return;
  upload_timer_ = true;
  const absl::Duration age = environment_.scheduler->Now() - oldest->appended;
  environment_.scheduler->After(
      std::max(absl::ZeroDuration(), options_.upload_delay - age),
      [this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) return;
        upload_timer_ = false;
        // What it was armed for may be uploaded long since.
        const LogRecord* next = log_.Find(cut_lsn_);
        if (next != nullptr &&
            environment_.scheduler->Now() - next->appended < options_.upload_delay) {
          ArmUploadTimer();
        }
        upload_work_.Notify();
      });
}

bool Engine::CutNow() const {
  if (cut_lsn_ > log_.written_lsn()) return false;
  const int part = checkpointing_ ? kCutBesidePart : 1;
  if (objects_since_checkpoint_ >= std::max(1, options_.checkpoint_objects / part)) return false;
  if (delta_.size() >= options_.checkpoint_blocks / part) return false;
  const LogRecord* oldest = log_.Find(cut_lsn_);
  if (oldest->first_sequence <= urgent_sequence_ || log_.full()) return true;
  if (log_.throttled() && uploading_.empty()) return true;
  if (environment_.scheduler->Now() - oldest->appended >= options_.upload_delay) return true;
  return ObjectFull() && !Bursting();
}

// There is something to cut.
bool Engine::ObjectFull() const {
  if (uncut_ops_ >= kMaxObjectOps) return true;
  // Without the header of each record; the newest one comes on top.
  const LogRecord* oldest = log_.Find(cut_lsn_);
  const LogRecord* newest = log_.Find(log_.written_lsn());
  const uint64_t records = log_.written_lsn() - cut_lsn_;
  return (newest->position - oldest->position - records) * kBlockBytes >= options_.object_bytes;
}

bool Engine::Bursting() const {
  const absl::Duration now = environment_.scheduler->Now();
  return now - burst_end_ < options_.burst_pause && now - burst_begin_ < options_.burst &&
         log_.used_blocks() < log_.ring_blocks() / options_.burst_part;
}

void Engine::NoteBurst() {
  const absl::Duration now = environment_.scheduler->Now();
  if (now - burst_end_ >= options_.burst_pause) burst_begin_ = now;
  burst_end_ = now;
  ArmBurstTimer();
}

void Engine::ArmBurstTimer() {
  if (burst_timer_ || cut_lsn_ > log_.written_lsn() || !ObjectFull() || !Bursting()) return;
  burst_timer_ = true;
  environment_.scheduler->After(options_.burst_pause, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    burst_timer_ = false;
    if (CutNow()) upload_work_.Notify();
    ArmBurstTimer();
  });
}

Task<void> Engine::UploadLoop() {
  while (failure_.ok()) {
    if (!CutNow() || static_cast<int>(uploading_.size()) >= options_.uploads_in_flight) {
      ArmBurstTimer();
      co_await upload_work_.Wait();
      continue;
    }
    std::shared_ptr<Batch> batch = Cut();
    uploading_.push_back(batch);
    ArmUploadTimer();
    tasks_.Spawn(Upload(std::move(batch)));
  }
}

std::shared_ptr<Engine::Batch> Engine::Cut() {
  const uint64_t limit = options_.object_bytes / kBlockBytes;
  uint64_t last = cut_lsn_;
  uint64_t boundary = 0;  // of a flush, in the second half of the object
  uint64_t flush = 0;     // the last one that leaves out nothing urgent
  uint64_t blocks = 0;
  size_t ops = 0;
  bool complete = false;
  for (uint64_t lsn = cut_lsn_; lsn <= log_.written_lsn(); ++lsn) {
    const LogRecord* record = log_.Find(lsn);
    blocks += record->blocks - 1;
    ops += record->ops.size();
    if (lsn > cut_lsn_ && (blocks > limit || ops > kMaxObjectOps)) {
      complete = true;
      break;
    }
    last = lsn;
    if (record->boundary && blocks >= limit / 2) boundary = lsn;
    if (record->boundary && record->last_sequence() >= urgent_sequence_) flush = lsn;
  }
  // What is not full is cut because it is due; what follows the flush will be, too.
  if (!complete) boundary = flush;
  if (boundary != 0) last = boundary;

  BlockMap<LogBlock> live;
  auto batch = std::make_shared<Batch>();
  batch->appended = log_.Find(cut_lsn_)->appended;
  ObjectHeader& header = batch->header;
  header.first_sequence = log_.Find(cut_lsn_)->first_sequence;
  for (uint64_t lsn = cut_lsn_; lsn <= last; ++lsn) {
    const LogRecord* record = log_.Find(lsn);
    uncut_ops_ -= record->ops.size();
    uint64_t block = 0;
    for (const LogOp& op : record->ops) {
      if (op.kind == OpKind::kZero) live.SetZero(op.lba, op.blocks, {});
      for (uint64_t i = 0; op.kind == OpKind::kWrite && i < op.blocks; ++i, ++block) {
        live.SetData(op.lba + i, {record->position + 1 + block, record->crcs[block], 0});
      }
    }
    header.last_sequence = record->last_sequence();
  }
  cut_lsn_ = last + 1;
  for (const auto& [lba, entry] : live) {
    const OpKind kind = entry.zero ? OpKind::kZero : OpKind::kWrite;
    LogOp* before = header.extents.empty() ? nullptr : &header.extents.back();
    if (before != nullptr && before->kind == kind && before->lba + before->blocks == lba) {
      before->blocks += entry.blocks;
    } else {
      header.extents.push_back({kind, lba, entry.blocks});
    }
    if (entry.zero) continue;
    header.block_crcs.push_back(entry.value.crc);
    batch->sources.push_back(entry.value);
  }
  header.kind = ObjectKind::kData;
  header.volume = volume_;
  header.epoch = stream_.epoch;
  header.nonce = stream_.nonce;
  header.sequence = next_object_++;
  header.confirmed = confirmed_;
  return batch;
}

Task<std::string> Engine::NewBody(uint64_t bytes) {
  ArmBodyTimer();
  co_return co_await MakeBody(environment_.scheduler, bytes, body_memory_->Take(bytes));
}

void Engine::ArmBodyTimer() {
  if (std::exchange(body_timer_, true)) return;
  environment_.scheduler->After(kBodyKept, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    body_timer_ = false;
    if (!body_memory_->FreeUnused()) ArmBodyTimer();
  });
}

Task<absl::Status> Engine::FillBody(const Batch& batch, char* blocks) {
  for (LogGather gather(&log_, &batch.sources); !gather.done();) {
    CO_RETURN_IF_ERROR(co_await gather.Next());
    for (const auto& [index, block] : gather.found()) {
      if (Crc32c(block, kBlockBytes) != batch.sources[index].crc &&
          options_.sabotage != Sabotage::kNoCrcCheck) {
        co_return absl::DataLossError("a block of the write log is damaged before its upload");
      }
      memcpy(blocks + index * kBlockBytes, block, kBlockBytes);
    }
    co_await Sleep(environment_.scheduler, absl::ZeroDuration());
  }
  co_return absl::OkStatus();
}

// Blocks that lie together in the log, from the one of this index on; how many.
Task<absl::StatusOr<size_t>> Engine::ReadSources(const Batch& batch, size_t at,
                                                 AlignedBuffer& into) {
  const std::vector<LogBlock>& sources = batch.sources;
  size_t run = 1;
  while (at + run < sources.size() && run < into.blocks() &&
         sources[at + run].position == sources[at].position + run) {
    ++run;
  }
  CO_RETURN_IF_ERROR(co_await log_.Read(sources[at].position, run, into.block(0)));
  for (size_t i = 0; i < run; ++i) {
    if (Crc32c(into.block(i), kBlockBytes) != sources[at + i].crc &&
        options_.sabotage != Sabotage::kNoCrcCheck) {
      co_return absl::DataLossError("a block of the write log is damaged before its upload");
    }
  }
  co_return run;
}

Task<void> Engine::Upload(std::shared_ptr<Batch> batch) {
  const size_t room = ObjectHeaderBytes(batch->header);
  const uint64_t bytes = room + batch->sources.size() * uint64_t{kBlockBytes};
  MemoryBudget::Grant memory = co_await bodies_.Take(bytes * PackingCopies(options_));
  if (!failure_.ok()) co_return;
  std::string blocks = co_await NewBody(bytes);
  const absl::Status filled = co_await FillBody(*batch, blocks.data() + room);
  if (!filled.ok()) {
    Fail(filled);
    co_return;
  }
  const bool cached = WorthCaching();
  if (cached) ++caching_;
  blocks =
      co_await PackObject(environment_.scheduler, options_, batch->header, std::move(blocks), room);
  const std::shared_ptr<const std::string> body = body_memory_->Share(std::move(blocks), bytes);
  memory.Shrink(body->size());
  stats_.stored_data_bytes += ObjectDataBytes(batch->header);
  stats_.packed_data_bytes += batch->header.block_crcs.size() * uint64_t{kBlockBytes};
  const absl::StatusOr<ObjectHeader> there =
      co_await store_.Create(Lane::kUpload, batch->header, body);
  if (!there.ok()) {
    Fail(there.status());
    co_return;
  }
  if (*there != batch->header) {
    Fail(there->kind == ObjectKind::kSeal
             ? absl::FailedPreconditionError(
                   absl::StrCat("epoch ", stream_.epoch, " of volume ", volume_.Hex(),
                                " is sealed: another node has taken the volume over"))
             : absl::DataLossError("the name of a data object is taken"));
    co_return;
  }
  batch->stored = true;
  const bool packed = batch->header.packed();
  std::optional<ReadBarrier::Reader> reader;  // as long as the log is read
  if (cached && packed) reader.emplace(&log_readers_);
  ApplyUploaded();
  if (cached) {
    const size_t begin = ObjectHeaderBytes(batch->header);
    co_await CacheUploaded(*batch, packed ? "" : absl::string_view(*body).substr(begin));
    --caching_;
  }
}

// What was written lately is likely to be read. While writes come, one object at a time, and none
// when the log's disk is needed for the log.
bool Engine::WorthCaching() const {
  if (!cache_.enabled() || log_.used_blocks() >= log_.ring_blocks() / 2) return false;
  return caching_ == 0 || environment_.scheduler->Now() - burst_end_ >= options_.burst_pause;
}

// `blocks`: its data; empty: as the log has it.
Task<void> Engine::CacheUploaded(const Batch& batch, absl::string_view blocks) {
  const ObjectHeader& header = batch.header;
  AlignedBuffer buffer(kBlocksPerTurn);
  size_t begin = 0;  // of what is in the buffer
  size_t end = 0;
  uint64_t block = ObjectHeaderBytes(header) / kBlockBytes;
  size_t index = 0;
  for (const LogOp& extent : header.extents) {
    for (uint64_t i = 0; extent.kind == OpKind::kWrite && i < extent.blocks; ++i, ++index) {
      if (index % kBlocksPerTurn == 0) co_await Sleep(environment_.scheduler, {});
      const BlockLocation place{stream_.id, static_cast<uint16_t>(block++), header.sequence,
                                header.block_crcs[index]};
      // Written again. An object before this one may be on its way still: then this one's are
      // there.
      const auto* newer = overlay_.Find(extent.lba + i, 1).entry;
      if (newer != nullptr && newer->value.sequence > header.last_sequence) continue;
      co_await cache_.WaitForRoom();
      if (!blocks.empty()) {
        cache_.Insert(place,
                      reinterpret_cast<const std::byte*>(blocks.data()) + index * kBlockBytes);
        continue;
      }
      if (index >= end) {
        const absl::StatusOr<size_t> run = co_await ReadSources(batch, index, buffer);
        if (!run.ok()) co_return;
        begin = index;
        end = index + *run;
      }
      cache_.Insert(place, buffer.block(index - begin));
    }
  }
}

void Engine::ApplyUploaded() {
  if (!failure_.ok()) return;
  if (options_.sabotage == Sabotage::kUploadOutOfOrder) {
    for (auto it = uploading_.begin(); it != uploading_.end();) {
      const std::shared_ptr<Batch> batch = *it;
      it = batch->stored ? uploading_.erase(it) : std::next(it);
      if (batch->stored) Apply(*batch);
    }
  }
  while (!uploading_.empty() && uploading_.front()->stored) {
    const std::shared_ptr<Batch> batch = uploading_.front();
    uploading_.pop_front();
    Apply(*batch);
  }
  upload_work_.Notify();
  progress_.Notify();
}

void Engine::Apply(const Batch& batch) {
  const ObjectHeader& header = batch.header;
  AddToDelta(stream_.id, header);
  for (const LogOp& extent : header.extents) {
    if (extent.kind == OpKind::kZero) NoteFreed(extent.blocks);
    overlay_.EraseIf(extent.lba, extent.blocks, [&header](const LogBlock& place) {
      return place.sequence <= header.last_sequence;
    });
  }
  confirmed_ = header.sequence;
  uploaded_sequence_ = header.last_sequence;
  ++objects_since_checkpoint_;
  ++objects_since_collect_;
  log_.Release(uploaded_sequence_);
}

void Engine::AddToDelta(uint16_t stream, const ObjectHeader& header) {
  uint64_t block = ObjectHeaderBytes(header) / kBlockBytes;
  size_t index = 0;
  for (const LogOp& extent : header.extents) {
    if (extent.kind == OpKind::kZero) delta_.SetZero(extent.lba, extent.blocks, {});
    for (uint64_t i = 0; extent.kind == OpKind::kWrite && i < extent.blocks; ++i) {
      delta_.SetData(extent.lba + i, {stream, static_cast<uint16_t>(block++), header.sequence,
                                      header.block_crcs[index++]});
    }
  }
}

Task<absl::Status> Engine::WaitUploaded(WriteSequence target) {
  urgent_sequence_ = std::max(urgent_sequence_, target);
  upload_work_.Notify();
  while (uploaded_sequence_ < target && failure_.ok()) co_await progress_.Wait();
  co_return failure_;
}

}  // namespace diskd::object
