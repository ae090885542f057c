// SPDX-License-Identifier: Apache-2.0
//
// The part of a check that the map does not reach: what is stored behind the checkpoint, and what
// nobody needs.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/aligned_buffer.h"
#include "drivers/object/engine/check.h"

namespace diskd::object {
namespace {

// A living volume's checkpoint overtakes the check so often before the tail is let be.
constexpr int kTailTries = 10;
constexpr uint32_t kMaxTailObjects = 4096;
constexpr int kFollowersLookedAt = 8;
constexpr size_t kMaxRunBlocks = 256;

}  // namespace

Task<absl::Status> Check::CheckTail() {
  for (int attempt = 0; attempt < kTailTries; ++attempt) {
    CO_RETURN_IF_ERROR(co_await keeper_.Load());
    const Head head = head_ = keeper_.head();
    if (head.state != VolumeState::kLive) co_return absl::OkStatus();
    report_.tail_objects = 0;
    bool behind = head.checkpoint.stream == 0;
    bool settled = true;
    for (const Stream& stream : head.streams) {
      if (stream.volume != volume_) continue;
      const bool first = !behind && stream.id == head.checkpoint.stream;
      behind |= first;
      if (!behind || !settled) continue;
      const absl::StatusOr<bool> done =
          co_await CheckTailOf(stream, first ? head.checkpoint.sequence + 1 : 1);
      if (!done.ok()) co_return done.status();
      settled = *done;
    }
    if (settled) co_return absl::OkStatus();
  }
  co_return absl::OkStatus();
}

// Whether the volume has gone on since head_ was read, so that its tail is another one.
Task<absl::StatusOr<bool>> Check::GoneOn() {
  CO_RETURN_IF_ERROR(co_await keeper_.Load());
  const Head& now = keeper_.head();
  co_return now.checkpoint != head_.checkpoint || now.epoch != head_.epoch ||
      now.state != head_.state;
}

// False: the volume has gone on, the answer means nothing.
Task<absl::StatusOr<bool>> Check::CheckTailOf(Stream stream, uint32_t from) {
  for (uint32_t sequence = from; sequence < from + kMaxTailObjects; ++sequence) {
    if (options_.fencing == Fencing::kLease && sequence == stream.end) co_return true;
    const std::string name = ObjectName(stream.volume, stream.epoch, stream.nonce, sequence);
    const absl::StatusOr<ObjectHeader> header = co_await store_->GetHeader(
        Lane::kCollect, stream.volume, stream.epoch, stream.nonce, sequence);
    absl::Status problem = header.status();
    if (absl::IsNotFound(problem)) problem = co_await LostBefore(stream, sequence);
    if (header.ok()) {
      if (header->kind == ObjectKind::kSeal) co_return true;
      problem = co_await CheckObject(*header, stream.id);
    }
    if (problem.ok()) {
      if (!header.ok()) {  // the end
        const absl::StatusOr<bool> gone_on = co_await GoneOn();
        if (!gone_on.ok()) co_return gone_on.status();
        co_return !*gone_on;
      }
      ++report_.tail_objects;
      continue;
    }
    if (!IsCheckFinding(problem)) co_return problem;
    const absl::StatusOr<bool> gone_on = co_await GoneOn();
    if (!gone_on.ok()) co_return gone_on.status();
    if (*gone_on) co_return false;
    AddProblem({0, header.ok() && !header->extents.empty() ? header->extents[0].lba : 0,
                header.ok() ? header->block_crcs.size() : 0, name, std::string(problem.message())});
    if (!header.ok()) co_return true;
  }
  co_return true;
}

// DATA_LOSS: a later object of the stream says that this one, which is not there, was stored.
Task<absl::Status> Check::LostBefore(Stream stream, uint32_t sequence) {
  const absl::StatusOr<ListResult> listed =
      co_await store_->List(Lane::kCollect, StreamPrefix(stream.volume, stream.epoch, stream.nonce),
                            ObjectName(stream.volume, stream.epoch, stream.nonce, sequence));
  if (!listed.ok()) co_return listed.status();
  int looked_at = 0;
  for (const ListEntry& entry : listed->entries) {
    const absl::StatusOr<ParsedObjectName> parsed = ParseObjectName(entry.name);
    if (!parsed.ok() || parsed->sequence >= kFirstSideSequence) break;
    if (++looked_at > kFollowersLookedAt) break;
    const absl::StatusOr<ObjectHeader> header = co_await store_->GetHeader(
        Lane::kCollect, stream.volume, stream.epoch, stream.nonce, parsed->sequence);
    if (!header.ok() || header->confirmed < sequence) continue;
    // It may have been stored since it was asked for.
    const absl::Status there = (co_await store_->GetHeader(Lane::kCollect, stream.volume,
                                                           stream.epoch, stream.nonce, sequence))
                                   .status();
    if (!absl::IsNotFound(there)) co_return there;
    co_return absl::DataLossError(
        absl::StrCat("was stored and is missing: ", entry.name, " proves it"));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Check::CheckObject(ObjectHeader header, uint16_t stream) {
  uint64_t block = ObjectHeaderBytes(header) / kBlockBytes;
  AlignedBuffer buffer(kMaxRunBlocks);
  for (size_t at = 0; at < header.block_crcs.size();) {
    std::vector<BlockLocation> places;
    for (; at < header.block_crcs.size() && places.size() < kMaxRunBlocks; ++at, ++block) {
      places.push_back(
          {stream, static_cast<uint16_t>(block), header.sequence, header.block_crcs[at]});
    }
    report_.blocks += places.size();
    CO_RETURN_IF_ERROR(co_await reader_.Read(Lane::kCollect, std::move(places), buffer.block(0)));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Check::LookForGarbage() {
  std::string after;
  for (bool more = true; more;) {
    const absl::StatusOr<ListResult> listed =
        co_await store_->List(Lane::kCollect, VolumePrefix(volume_), after);
    if (!listed.ok()) co_return listed.status();
    more = listed->more && !listed->entries.empty();
    // Knows the stream of every object that was there when the list was made.
    CO_RETURN_IF_ERROR(co_await keeper_.Load());
    const Head& head = keeper_.head();
    for (const ListEntry& entry : listed->entries) {
      after = entry.name;
      if (entry.name != HeadName(volume_)) Classify(head, entry);
    }
  }
  co_return absl::OkStatus();
}

void Check::Classify(const Head& head, const ListEntry& entry) {
  const absl::StatusOr<ParsedObjectName> name = ParseObjectName(entry.name);
  bool behind = head.checkpoint.stream == 0;
  for (const Stream& stream : head.streams) {
    if (!name.ok()) break;
    const bool checkpointed = stream.id == head.checkpoint.stream;
    behind |= checkpointed;
    if (stream.volume != volume_ || stream.epoch != name->epoch || stream.nonce != name->nonce) {
      continue;
    }
    if (reached_.contains(uint64_t{stream.id} << 32 | name->sequence)) return;
    if (name->sequence < kFirstSideSequence) {
      const bool tail = behind && !(checkpointed && name->sequence <= head.checkpoint.sequence);
      if (tail && (stream.end == 0 || name->sequence <= stream.end)) return;
      // A seal.
      if (name->sequence == stream.end || entry.object_bytes == kBlockBytes) return;
    }
    ++report_.garbage_objects;
    report_.garbage_bytes += entry.object_bytes;
    return;
  }
  ++report_.orphan_objects;
  report_.orphan_bytes += entry.object_bytes;
  if (report_.orphans.size() < kMaxOrphans) report_.orphans.push_back(entry.name);
}

}  // namespace diskd::object
