// SPDX-License-Identifier: Apache-2.0
//
// Opening a volume: become its owner, end the streams of earlier owners, roll the map forward to
// their ends, replay the local log behind that.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/workers.h"

namespace diskd::object {
namespace {

// Objects behind a stream's end that are looked at for proof of a lost one.
constexpr int kOrphansLookedAt = 8;
constexpr uint32_t kHeadersAtOnce = 32;

absl::Status CheckLive(const Head& head) {
  switch (head.state) {
    case VolumeState::kLive:
      return absl::OkStatus();
    case VolumeState::kDeleted:
      return absl::NotFoundError(absl::StrCat("volume ", head.volume.Hex(), " was deleted"));
    case VolumeState::kCopying:
      return absl::AbortedError(absl::StrCat("the copy to volume ", head.volume.Hex(),
                                             " is not complete: repeat it, or delete the volume"));
  }
  return absl::InternalError("unknown state");
}

}  // namespace

Task<absl::Status> Engine::Recover() {
  const absl::Status loaded = co_await head_.Load();
  if (absl::IsNotFound(loaded)) {
    co_return absl::NotFoundError(absl::StrCat("the store has no volume ", volume_.Hex(),
                                               lease_ != nullptr ? " with fencing=lease" : ""));
  }
  CO_RETURN_IF_ERROR(loaded);
  CO_RETURN_IF_ERROR(CheckLive(head_.head()));
  CO_RETURN_IF_ERROR(CheckKey(head_.head(), options_));
  const absl::StatusOr<std::optional<LogSuperblock>> superblock = co_await TakeOver();
  if (!superblock.ok()) co_return superblock.status();
  stream_ = head_.head().streams.back();
  CO_RETURN_IF_ERROR(co_await RollForward());
  if (lease_ != nullptr) {
    // In place of the seals: what former owners may still store is behind the ends.
    CO_RETURN_IF_ERROR(co_await head_.Update([this](Head& head) {
      NoteEnds(head);
      return absl::OkStatus();
    }));
  }
  if (superblock->has_value()) {
    CO_RETURN_IF_ERROR(co_await ReplayLog(**superblock));
  } else {
    log_.Begin(stream_.epoch, uploaded_sequence_ + 1, uploaded_sequence_);
  }
  cut_lsn_ = log_.first_lsn();
  while (log_.Find(cut_lsn_) != nullptr &&
         log_.Find(cut_lsn_)->first_sequence <= uploaded_sequence_) {
    ++cut_lsn_;
  }
  for (uint64_t lsn = cut_lsn_; const LogRecord* record = log_.Find(lsn); ++lsn) {
    uncut_ops_ += record->ops.size();
  }
  ArmUploadTimer();
  co_return absl::OkStatus();
}

// The log counts only while HEAD names it: any other owner in between has made it stale.
Task<absl::StatusOr<std::optional<LogSuperblock>>> Engine::TakeOver() {
  const absl::StatusOr<LogSuperblock> on_device = co_await log_.Load();
  if (!on_device.ok() && !absl::IsNotFound(on_device.status())) co_return on_device.status();
  if (on_device.ok() && on_device->volume != volume_) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("the write log belongs to volume ", on_device->volume.Hex(), ", not to ",
                     volume_.Hex(), ": give each volume a log of its own"));
  }
  std::optional<LogSuperblock> replay;
  uint64_t formatted = 0;
  auto edit = [&](Head& head) -> Task<absl::Status> {
    replay.reset();
    if (on_device.ok() && formatted == 0 && head.log_id == on_device->log_id) {
      replay = *on_device;
    } else if (formatted == 0) {
      if (options_.successor && !on_device.ok()) {
        co_return absl::FailedPreconditionError(
            "the write log is lost or damaged, it has no valid superblock, while the volume is in "
            "use: bring it back, or detach the volume with --force, which goes back to what is in "
            "the store");
      }
      if (options_.successor) {
        co_return absl::FailedPreconditionError(
            "the write log is not the one last used: it was lost, or another node has taken the "
            "volume. Going on would take answered writes from under its users: detach it with "
            "--force, then attach it where it is to be used");
      }
      if (on_device.ok()) {
        SPDLOG_WARN("volume {}: the write log is stale, another one was used since; dropped",
                    volume_.Hex());
      } else if (head.log_id != 0) {
        SPDLOG_WARN(
            "volume {}: the write log has no valid superblock, though one was used: it is new "
            "here, or "
            "damaged; the volume goes back to what is in the store",
            volume_.Hex());
      }
      formatted = FreshId();
      CO_RETURN_IF_ERROR(co_await log_.Format(volume_, formatted, 0));
    }
    CO_RETURN_IF_ERROR(CheckLive(head));
    if (formatted != 0) head.log_id = formatted;
    head.packed |= options_.zstd_level > 0;
    Stream stream;
    stream.id = 1;
    while (head.FindStream(stream.id) != nullptr) {
      if (++stream.id == 0) {
        co_return absl::ResourceExhaustedError("the volume was opened too often: copy it");
      }
    }
    stream.volume = volume_;
    stream.epoch = head.epoch;
    stream.nonce = head.nonce;
    head.streams.push_back(stream);
    co_return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await head_.TakeOver(FreshId(), edit));
  co_return replay;
}

Task<absl::Status> Engine::RollForward() {
  const Head head = head_.head();
  root_ = head.checkpoint.root;
  uploaded_sequence_ = head.checkpoint.written;
  bool behind = head.checkpoint.stream == 0;
  for (const Stream& stream : head.streams) {
    if (stream.volume != volume_ || stream.id == stream_.id) continue;
    if (behind) {
      CO_RETURN_IF_ERROR(co_await RollStream(stream, 1));
    } else if (stream.id == head.checkpoint.stream) {
      behind = true;
      CO_RETURN_IF_ERROR(co_await RollStream(stream, head.checkpoint.sequence + 1));
    }
  }
  if (!behind) co_return absl::DataLossError("HEAD's checkpoint is of an unknown stream");
  co_return absl::OkStatus();
}

// Headers are fetched side by side, twice as many each time: few in vain behind the end.
Task<absl::Status> Engine::RollStream(Stream stream, uint32_t from) {
  uint32_t sequence = from;
  for (uint32_t count = 1;; count = std::min(2 * count, kHeadersAtOnce)) {
    std::vector<absl::StatusOr<ObjectHeader>> headers(count, absl::UnknownError(""));
    Workers workers(environment_.scheduler, kHeadersAtOnce);
    for (uint32_t i = 0; i < count; ++i) {
      co_await workers.Start(FetchHeader(stream, sequence + i, &headers[i]));
    }
    (void)co_await workers.Finish();
    for (absl::StatusOr<ObjectHeader>& header : headers) {
      const bool ended = lease_ != nullptr && sequence == stream.end;
      if (ended || (lease_ != nullptr && absl::IsNotFound(header.status()))) {
        ends_[stream.id] = sequence;
        if (ended) co_return absl::OkStatus();
        co_return co_await CheckNothingLost(stream, sequence);
      }
      if (absl::IsNotFound(header.status())) {
        if (options_.sabotage == Sabotage::kSealSkipped) co_return absl::OkStatus();
        header = co_await CreateSeal(stream, sequence);
      }
      if (!header.ok()) co_return header.status();
      if (header->kind == ObjectKind::kSeal) {
        ends_[stream.id] = sequence;
        co_return co_await CheckNothingLost(stream, sequence);
      }
      CO_RETURN_IF_ERROR(ApplyRolled(stream, *header));
      ++sequence;
    }
  }
}

Task<absl::Status> Engine::FetchHeader(Stream stream, uint32_t sequence,
                                       absl::StatusOr<ObjectHeader>* into) {
  *into =
      co_await store_.GetHeader(Lane::kRead, stream.volume, stream.epoch, stream.nonce, sequence);
  co_return absl::OkStatus();
}

// What is there after it: the seal, or an object that was faster.
Task<absl::StatusOr<ObjectHeader>> Engine::CreateSeal(Stream stream, uint32_t sequence) {
  ObjectHeader seal;
  seal.kind = ObjectKind::kSeal;
  seal.volume = stream.volume;
  seal.epoch = stream.epoch;
  seal.nonce = stream.nonce;
  seal.sequence = sequence;
  co_return co_await store_.Create(Lane::kUpload, seal,
                                   std::make_shared<const std::string>(EncodeObjectHeader(seal)));
}

// The owner made each object after it knew which earlier ones were stored. One of those, behind
// the end, proves that the store has lost what is missing.
Task<absl::Status> Engine::CheckNothingLost(Stream stream, uint32_t end) {
  const std::string name = ObjectName(stream.volume, stream.epoch, stream.nonce, end);
  const std::string prefix = StreamPrefix(stream.volume, stream.epoch, stream.nonce);
  const absl::StatusOr<ListResult> listed = co_await store_.List(Lane::kRead, prefix, name);
  if (!listed.ok()) co_return listed.status();
  int looked_at = 0;
  for (const ListEntry& entry : listed->entries) {
    const absl::StatusOr<ParsedObjectName> parsed = ParseObjectName(entry.name);
    if (!parsed.ok() || parsed->sequence >= kFirstSideSequence) break;
    if (++looked_at > kOrphansLookedAt) break;
    const absl::StatusOr<ObjectHeader> header = co_await store_.GetHeader(
        Lane::kRead, stream.volume, stream.epoch, stream.nonce, parsed->sequence);
    if (header.ok() && header->confirmed >= end) {
      co_return absl::DataLossError(
          absl::StrCat("object ", name, " was stored and is missing: ", entry.name, " proves it"));
    }
  }
  co_return absl::OkStatus();
}

absl::Status Engine::ApplyRolled(const Stream& stream, const ObjectHeader& header) {
  if (header.kind != ObjectKind::kData || header.first_sequence != uploaded_sequence_ + 1 ||
      header.last_sequence < header.first_sequence) {
    return absl::DataLossError(absl::StrCat("object ", header.sequence, " of epoch ", stream.epoch,
                                            " begins with write ", header.first_sequence,
                                            ", not with the one behind ", uploaded_sequence_));
  }
  AddToDelta(stream.id, header);
  uploaded_sequence_ = header.last_sequence;
  ++objects_since_checkpoint_;
  return absl::OkStatus();
}

Task<absl::Status> Engine::ReplayLog(LogSuperblock superblock) {
  if (superblock.uploaded > uploaded_sequence_) {
    co_return absl::DataLossError(absl::StrCat("the write log says that writes up to ",
                                               superblock.uploaded,
                                               " are in the store, which "
                                               "has only those up to ",
                                               uploaded_sequence_, ": the store has lost data"));
  }
  WriteSequence expected = uploaded_sequence_ + 1;
  CO_RETURN_IF_ERROR(co_await log_.Replay(superblock, [&](const LogRecord& record) {
    if (record.last_sequence() <= uploaded_sequence_) return absl::OkStatus();
    if (record.first_sequence != expected) {
      return absl::DataLossError(absl::StrCat("the write log goes on with write ",
                                              record.first_sequence, " instead of ", expected));
    }
    AddToOverlay(record);
    expected = record.last_sequence() + 1;
    return absl::OkStatus();
  }));
  log_.Begin(stream_.epoch, expected, uploaded_sequence_);
  co_return absl::OkStatus();
}

}  // namespace diskd::object
