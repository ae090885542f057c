// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/copy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/aligned_buffer.h"
#include "drivers/object/engine/diff.h"
#include "drivers/object/engine/map_writer.h"
#include "drivers/object/engine/packer.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr int kReads = 8;
constexpr int kWrites = 3;
constexpr uint64_t kReadBlocks = 256;
// What a copy that is broken off does again at most, objects.
constexpr int kObjectsPerRecord = 16;
constexpr size_t kExtentsAtOnce = 1024;

}  // namespace

Copy::Copy(Scheduler* scheduler, const CopySide& from, uint64_t snapshot, const CopySide& to,
           CopyProgress progress)
    : scheduler_(scheduler),
      from_(from),
      to_(to),
      snapshot_(snapshot),
      progress_(std::move(progress)),
      source_(from.store, scheduler, from.volume, *from.options),
      source_tree_(
          from.store, [this](uint16_t id) { return source_.head().FindStream(id); }, *from.options),
      reader_(
          from.store, &source_tree_, [this]() -> const Head& { return source_.head(); },
          *from.options),
      target_(to.store, scheduler, to.volume, *to.options),
      target_tree_(
          to.store, [this](uint16_t id) { return target_.head().FindStream(id); }, *to.options),
      readers_(scheduler, kReads),
      writers_(scheduler, kWrites) {}

Task<absl::Status> Copy::Run() {
  CO_RETURN_IF_ERROR(co_await Source());
  CO_RETURN_IF_ERROR(co_await Target());
  if (target_.head().state == VolumeState::kLive) co_return absl::OkStatus();  // it is complete
  const absl::Status status = co_await CopyFrom(target_.head().copied_blocks);
  if (!absl::IsDataLoss(status)) co_return status;
  // Perhaps it was only deleted.
  CO_RETURN_IF_ERROR(co_await Source());
  co_return status;
}

Task<absl::Status> Copy::Source() {
  CO_RETURN_IF_ERROR(co_await source_.Load());
  CO_RETURN_IF_ERROR(CheckKey(source_.head(), *from_.options));
  const SnapshotEntry* entry = source_.head().FindSnapshot(snapshot_);
  if (entry == nullptr || entry->deleted) {
    co_return absl::NotFoundError(
        absl::StrCat("volume ", from_.volume.Hex(), " has no snapshot ", snapshot_));
  }
  source_root_ = entry->root;
  size_blocks_ = entry->size_blocks;
  co_return absl::OkStatus();
}

// Becomes the owner of the target, new or left over by a copy that was broken off.
Task<absl::Status> Copy::Target() {
  const Options& options = *to_.options;
  struct Head head;
  head.volume = to_.volume;
  head.state = VolumeState::kCopying;
  head.origin = from_.volume;
  head.origin_snapshot = snapshot_;
  head.size_blocks = size_blocks_;
  head.fanout_bits = options.fanout_bits;
  head.packed = options.zstd_level > 0 || options.key.has_value();
  head.encrypted = options.key.has_value();
  if (head.encrypted) head.key_check = CheckOfKey(*options.key);
  const absl::Status created = co_await target_.Create(std::move(head));
  if (!created.ok() && !absl::IsAlreadyExists(created)) co_return created;
  const Head& there = target_.head();
  if (there.origin != from_.volume || there.origin_snapshot != snapshot_ ||
      (there.state == VolumeState::kLive && there.copied_blocks == 0) ||
      there.state == VolumeState::kDeleted) {
    co_return absl::AlreadyExistsError(absl::StrCat("volume ", to_.volume.Hex(),
                                                    " exists and is not a copy of snapshot ",
                                                    snapshot_, " of ", from_.volume.Hex()));
  }
  CO_RETURN_IF_ERROR(CheckKey(there, options));
  if (there.state == VolumeState::kLive) co_return absl::OkStatus();
  uint64_t nonce = 0;
  while (nonce == 0) nonce = scheduler_->Random();
  bool complete = false;
  auto edit = [this, &complete](Head& next) -> Task<absl::Status> {
    complete = next.state == VolumeState::kLive;
    if (next.state != VolumeState::kCopying) {
      co_return absl::FailedPreconditionError("somebody else has completed or deleted the copy");
    }
    Stream stream;
    stream.id = 1;
    while (next.FindStream(stream.id) != nullptr) {
      if (++stream.id == 0) {
        co_return absl::ResourceExhaustedError("the copy was begun too often: delete it");
      }
    }
    stream.volume = next.volume;
    stream.epoch = next.epoch;
    stream.nonce = next.nonce;
    next.packed |= to_.options->zstd_level > 0;
    next.streams.push_back(stream);
    co_return absl::OkStatus();
  };
  const absl::Status taken = co_await target_.TakeOver(nonce, edit);
  // The last request of an earlier attempt may land late.
  if (complete && absl::IsFailedPrecondition(taken)) co_return absl::OkStatus();
  CO_RETURN_IF_ERROR(taken);
  stream_ = target_.head().streams.back();
  co_return absl::OkStatus();
}

Task<absl::Status> Copy::CopyFrom(Lba lba) {
  while (lba < size_blocks_) {
    for (int object = 0; object < kObjectsPerRecord && lba < size_blocks_; ++object) {
      std::vector<Lba> lbas;
      std::string blocks;
      const absl::StatusOr<Lba> next = co_await Gather(lba, lbas, blocks);
      if (!next.ok()) co_return next.status();
      lba = *next;
      if (!lbas.empty()) {
        co_await writers_.Start(Store(std::move(lbas), std::move(blocks)));
        CO_RETURN_IF_ERROR(writers_.status());
      }
    }
    CO_RETURN_IF_ERROR(co_await writers_.Finish());
    CO_RETURN_IF_ERROR(co_await Record(lba, lba >= size_blocks_));
    if (progress_) progress_(lba, size_blocks_);
  }
  co_return absl::OkStatus();
}

// The blocks of the next object. The result: where to go on.
Task<absl::StatusOr<Lba>> Copy::Gather(Lba lba, std::vector<Lba>& lbas, std::string& blocks) {
  const uint64_t room = std::max<uint64_t>(1, to_.options->object_bytes / kBlockBytes);
  while (lba < size_blocks_ && lbas.size() < room) {
    const absl::StatusOr<DiffPage> page =
        co_await DiffRoots(&source_tree_, Lane::kCollect, PagePointer{}, source_root_, size_blocks_,
                           lba, kExtentsAtOnce);
    if (!page.ok()) co_return page.status();
    lba = page->next;
    for (const ChangedExtent& extent : page->extents) {
      const uint64_t take = std::min(extent.blocks, room - lbas.size());
      for (uint64_t i = 0; i < take; ++i) lbas.push_back(extent.lba + i);
      if (take == extent.blocks) continue;
      lba = extent.lba + take;
      break;
    }
  }
  blocks.resize(lbas.size() * kBlockBytes);
  for (size_t at = 0; at < lbas.size();) {
    size_t run = 1;
    while (at + run < lbas.size() && run < kReadBlocks && lbas[at + run] == lbas[at] + run) ++run;
    co_await readers_.Start(ReadInto(lbas[at], run, &blocks, at));
    at += run;
  }
  CO_RETURN_IF_ERROR(co_await readers_.Finish());
  co_return lba;
}

Task<absl::Status> Copy::ReadInto(Lba lba, uint64_t blocks, std::string* into, size_t at) {
  co_return co_await reader_.ReadRange(
      source_root_, lba, blocks,
      reinterpret_cast<std::byte*>(into->data()) + at * size_t{kBlockBytes});
}

// As collected blocks: only the map says where they are.
Task<absl::Status> Copy::Store(std::vector<Lba> lbas, std::string blocks) {
  ObjectHeader header;
  header.kind = ObjectKind::kMoved;
  header.volume = stream_.volume;
  header.epoch = stream_.epoch;
  header.nonce = stream_.nonce;
  header.sequence = next_side_++;
  for (size_t i = 0; i < lbas.size(); ++i) {
    const uint32_t crc = Crc32c(absl::string_view(blocks).substr(i * kBlockBytes, kBlockBytes));
    header.moved.push_back({lbas[i], {0, 0, 0, crc}});
    header.block_crcs.push_back(crc);
  }
  auto body = std::make_shared<const std::string>(
      co_await PackObject(scheduler_, *to_.options, header, std::move(blocks), /*room=*/0));
  const absl::StatusOr<ObjectHeader> there =
      co_await to_.store->Create(Lane::kCollect, header, std::move(body));
  if (!there.ok()) co_return there.status();
  if (*there != header) co_return absl::DataLossError("the name of a copied object is taken");
  uint64_t block = ObjectHeaderBytes(header) / kBlockBytes;
  for (size_t i = 0; i < lbas.size(); ++i, ++block) {
    changes_.SetData(
        lbas[i], {stream_.id, static_cast<uint16_t>(block), header.sequence, header.block_crcs[i]});
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Copy::Record(Lba done, bool last) {
  MapWriter writer(&target_tree_, to_.store, scheduler_, stream_, &next_side_,
                   target_.head().fanout_bits, *to_.options);
  const Moves none;
  const BlockMap<BlockLocation> changes = std::exchange(changes_, {});
  const absl::StatusOr<PagePointer> root =
      co_await writer.Merge(target_.head().checkpoint.root, size_blocks_, changes, none);
  if (!root.ok()) co_return root.status();
  co_return co_await target_.Update([&](Head& head) {
    head.checkpoint.root = *root;
    head.copied_blocks = done;
    if (last) head.state = VolumeState::kLive;
    return absl::OkStatus();
  });
}

}  // namespace diskd::object
