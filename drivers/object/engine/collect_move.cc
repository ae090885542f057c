// SPDX-License-Identifier: Apache-2.0
//
// Collection, the part that copies: what is live in the emptiest objects goes into new ones. What
// can't be read is left out, and said: one bad block must not keep all that lies behind it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "base/log.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/packer.h"
#include "drivers/object/engine/victims.h"
#include "drivers/object/engine/workers.h"

namespace diskd::object {
namespace {

// Walks over the map that one pass makes to move what `collect_bytes` allow each time.
constexpr int kMoveRounds = 16;
// Passes whose copies have an age.
constexpr size_t kMaxPasses = 1024;
constexpr int kReadsAtOnce = 16;
constexpr uint64_t kMaxRunBlocks = 64;
// How long what can't be read is not looked at again, and of how many objects that is known.
constexpr absl::Duration kLeftOutFor = absl::Hours(1);
constexpr size_t kMaxLeftOut = 1024;
constexpr absl::Duration kLogInterval = absl::Seconds(10);

bool Unreadable(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsNotFound(status) || StoreClient::MayPass(status);
}

}  // namespace

Task<absl::Status> Engine::CountBlocks(Stream stream, uint32_t sequence, uint64_t* into) {
  const absl::StatusOr<uint64_t> blocks =
      co_await blocks_.DataBlocks(Lane::kCollect, stream, sequence);
  if (blocks.ok()) *into = *blocks;
  co_return blocks.status();
}

// The objects that are best copied, as many as must go for the rest to be used as far as the
// options want.
Task<absl::StatusOr<std::vector<Engine::Sparse>>> Engine::FindSparse(const Victims& victims) {
  const Head& head = victims.head;
  const ObjectAges ages(head, volume_, stream_.id, confirmed_, &passes_);
  std::vector<Sparse> found;
  uint64_t live_bytes = 0, whole_bytes = 0;
  for (const auto& [key, object] : victims.objects) {
    if (object.pinned || LeftOut(key)) continue;
    uint64_t bytes = object.bytes;
    if (object.data && head.packed) {
      // As many bytes as they were before.
      const Stream stream = *head.FindStream(static_cast<uint16_t>(key >> 32));
      uint64_t blocks = 0;
      const auto count = [&, key = key] {
        return CountBlocks(stream, static_cast<uint32_t>(key), &blocks);
      };
      const absl::Status counted = co_await Insist(count);
      if (Unreadable(counted) && failure_.ok()) {
        LeaveOut(head, key, counted);
        continue;
      }
      CO_RETURN_IF_ERROR(counted);
      bytes = (blocks + 1) * kBlockBytes;
    }
    if (bytes <= kBlockBytes) continue;
    const Sparse object_found{
        key, object.live, bytes - kBlockBytes,
        static_cast<double>(ages.Of(static_cast<uint16_t>(key >> 32), static_cast<uint32_t>(key))) +
            1};
    if (object_found.Share() < options_.collect_below) found.push_back(object_found);
    live_bytes += object.live;
    whole_bytes += bytes - kBlockBytes;
  }
  std::sort(found.begin(), found.end(),
            [](const Sparse& a, const Sparse& b) { return a.Benefit() > b.Benefit(); });
  size_t count = 0;
  while (count < found.size() && static_cast<double>(live_bytes) <
                                     options_.collect_until * static_cast<double>(whole_bytes)) {
    // Its live part is in a full object afterwards.
    whole_bytes -=
        std::min(whole_bytes, found[count].whole - std::min(found[count].whole, found[count].live));
    ++count;
  }
  found.resize(count);
  co_return found;
}

Task<absl::Status> Engine::MoveLive(Victims& victims) {
  const absl::StatusOr<std::vector<Sparse>> sparse = co_await FindSparse(victims);
  if (!sparse.ok()) co_return sparse.status();
  victims.gather = true;
  passes_.emplace_back(next_side_, confirmed_);
  if (passes_.size() > kMaxPasses) passes_.erase(passes_.begin(), passes_.begin() + kMaxPasses / 2);
  size_t next = 0;
  for (int round = 0; round < kMoveRounds && next < sparse->size(); ++round) {
    victims.sparse.clear();
    victims.blocks.clear();
    victims.rewrites.clear();
    for (uint64_t bytes = 0; next < sparse->size(); ++next) {
      bytes += (*sparse)[next].live;
      if (bytes > options_.collect_bytes && !victims.sparse.empty()) break;
      victims.sparse.insert((*sparse)[next].key);
    }
    CO_RETURN_IF_ERROR(co_await MoveRound(victims));
    CO_RETURN_IF_ERROR(co_await Checkpoint(nullptr));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::MoveRound(Victims& victims) {
  CO_RETURN_IF_ERROR(co_await Walk(victims.head.checkpoint.root, {}, false, victims));
  for (const auto& [lba, move] : victims.rewrites) moves_[lba] = move;
  const auto place = [](const std::pair<Lba, BlockLocation>& block) {
    return std::make_tuple(block.second.stream, block.second.sequence, block.second.block);
  };
  std::sort(victims.blocks.begin(), victims.blocks.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  const size_t limit = std::max<size_t>(1, options_.object_bytes / kBlockBytes);
  for (size_t at = 0; at < victims.blocks.size(); at += limit) {
    const size_t end = std::min(victims.blocks.size(), at + limit);
    CO_RETURN_IF_ERROR(
        co_await StoreReadable({victims.blocks.begin() + static_cast<ptrdiff_t>(at),
                                victims.blocks.begin() + static_cast<ptrdiff_t>(end)},
                               victims));
  }
  co_return absl::OkStatus();
}

// Without the objects of which something can't be read: they stay as they are.
Task<absl::Status> Engine::StoreReadable(std::vector<std::pair<Lba, BlockLocation>> live,
                                         Victims& victims) {
  while (!live.empty()) {
    const auto store = [&] { return StoreMoved(live, victims); };
    absl::Status status = co_await Insist(store);
    if (status.ok() || !failure_.ok() || victims.unread.empty()) co_return status;
    for (const auto& [key, problem] : victims.unread) LeaveOut(victims.head, key, problem);
    live.erase(std::remove_if(live.begin(), live.end(),
                              [&](const auto& block) {
                                const BlockLocation& at = block.second;
                                return victims.unread.contains(ObjectKey(at.stream, at.sequence));
                              }),
               live.end());
  }
  co_return absl::OkStatus();
}

bool Engine::LeftOut(uint64_t key) const {
  const auto it = left_out_.find(key);
  return it != left_out_.end() && environment_.scheduler->Now() < it->second;
}

void Engine::LeaveOut(const Head& head, uint64_t key, const absl::Status& problem) {
  const absl::Duration now = environment_.scheduler->Now();
  if (left_out_.size() >= kMaxLeftOut) left_out_.clear();
  left_out_[key] = now + kLeftOutFor;
  ++stats_.objects_left_out;
  if (now < left_out_quiet_until_) return;
  left_out_quiet_until_ = now + kLogInterval;
  const Stream& stream = *head.FindStream(static_cast<uint16_t>(key >> 32));
  SPDLOG_ERROR("object {} can't be read and is not collected ({} so far): {}",
               ObjectName(stream.volume, stream.epoch, stream.nonce, static_cast<uint32_t>(key)),
               stats_.objects_left_out, problem.ToString());
}

// Through a buffer, as a read from the cache's file needs an aligned one.
Task<absl::Status> Engine::ReadRun(std::vector<BlockLocation> places, char* into,
                                   Victims& victims) {
  const size_t bytes = places.size() * kBlockBytes;
  const uint64_t key = ObjectKey(places[0].stream, places[0].sequence);
  AlignedBuffer buffer(places.size());
  absl::Status status = co_await blocks_.Read(Lane::kCollect, std::move(places), buffer.block(0));
  if (status.ok()) memcpy(into, buffer.block(0), bytes);
  if (Unreadable(status)) victims.unread[key] = status;
  co_return status;
}

Task<absl::Status> Engine::StoreMoved(const std::vector<std::pair<Lba, BlockLocation>>& live,
                                      Victims& victims) {
  victims.unread.clear();
  ObjectHeader header;
  header.kind = ObjectKind::kMoved;
  header.volume = volume_;
  header.epoch = stream_.epoch;
  header.nonce = stream_.nonce;
  header.sequence = next_side_++;
  for (const auto& [lba, from] : live) {
    header.moved.push_back({lba, from});
    header.block_crcs.push_back(from.crc);
  }
  const size_t room = ObjectHeaderBytes(header);
  const uint64_t bytes = room + live.size() * uint64_t{kBlockBytes};
  const MemoryBudget::Grant memory = co_await bodies_.Take(bytes * PackingCopies(options_));
  std::string data = co_await NewBody(bytes);
  Workers workers(environment_.scheduler, kReadsAtOnce);
  for (size_t at = 0; at < live.size() && workers.status().ok();) {
    std::vector<BlockLocation> places = {live[at].second};
    while (at + places.size() < live.size()) {
      const BlockLocation& next = live[at + places.size()].second;
      if (!BlockReader::InOneGet(places[0], places.back(), next)) break;
      if (uint64_t{next.block} - places[0].block >= kMaxRunBlocks) break;
      places.push_back(next);
    }
    const size_t run = places.size();
    co_await workers.Start(ReadRun(std::move(places), &data[room + at * kBlockBytes], victims));
    at += run;
  }
  const absl::Status read = co_await workers.Finish();
  if (!read.ok()) {
    (void)body_memory_->Share(std::move(data), bytes);  // gives it back
    co_return read;
  }
  data = co_await PackObject(environment_.scheduler, options_, header, std::move(data), room);
  const absl::StatusOr<ObjectHeader> there =
      co_await store_.Create(Lane::kCollect, header, body_memory_->Share(std::move(data), bytes));
  if (!there.ok()) co_return there.status();
  if (*there != header) co_return absl::DataLossError("the name of a moved object is taken");
  uint64_t block = ObjectHeaderBytes(header) / kBlockBytes;
  for (const auto& [lba, from] : live) {
    BlockLocation to{stream_.id, static_cast<uint16_t>(block++), header.sequence, from.crc};
    moves_[lba] = {from, to};
  }
  stats_.blocks_moved += live.size();
  co_return absl::OkStatus();
}

}  // namespace diskd::object
