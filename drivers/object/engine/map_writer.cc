// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/map_writer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/workers.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

bool AllHoles(const MapPage& page) {
  const auto hole = [](const auto& entry) { return entry.hole(); };
  return page.level == 0 ? std::all_of(page.blocks.begin(), page.blocks.end(), hole)
                         : std::all_of(page.pages.begin(), page.pages.end(), hole);
}

}  // namespace

Task<absl::StatusOr<PagePointer>> MapWriter::Merge(PagePointer root, uint64_t size_blocks,
                                                   const BlockMap<BlockLocation>& changes,
                                                   const Moves& moves) {
  changes_ = &changes;
  moves_ = &moves;
  if (changes.empty() && moves.empty()) co_return root;
  const uint8_t root_level = RootLevel(fanout_bits_, size_blocks);
  uint8_t level = root_level;
  PagePtr page;
  if (!root.hole()) {
    CO_RETURN_IF_ERROR(co_await LoadChild(root, &page));
    level = page->level;
  }
  absl::StatusOr<PagePointer> result = co_await Node(root, level, 0, std::move(page));
  // The volume has grown: the old root becomes the first child. From below, as a page that was
  // only just written can't be fetched.
  while (result.ok() && level < root_level) result = co_await Raise(*result, ++level);
  if (!result.ok()) co_return result.status();
  CO_RETURN_IF_ERROR(co_await PutObject());
  co_return *result;
}

MapPage MapWriter::NewPage(uint8_t level, uint64_t index) const {
  MapPage page;
  page.level = level;
  page.fanout_bits = fanout_bits_;
  page.index = index;
  const size_t fanout = size_t{1} << fanout_bits_;
  if (level == 0) {
    page.blocks.resize(fanout);
  } else {
    page.pages.resize(fanout);
  }
  return page;
}

Task<absl::StatusOr<PagePointer>> MapWriter::Node(PagePointer old, uint8_t level, uint64_t index,
                                                  PagePtr loaded) {
  if (!old.hole() && loaded == nullptr) CO_RETURN_IF_ERROR(co_await LoadChild(old, &loaded));
  if (!old.hole() && loaded->level != level) {
    co_return absl::DataLossError(absl::StrCat("a map page of level ", loaded->level,
                                               " is where one of level ", level, " should be"));
  }
  MapPage page = old.hole() ? NewPage(level, index) : *loaded;
  const Lba first = index * PageSpan(fanout_bits_, level);
  bool changed = false;
  if (level == 0) {
    changed = ApplyToLeaf(page, first);
    if (options_.sabotage == Sabotage::kMapPageLost && ++leaves_ % 3 == 0) co_return old;
  } else {
    const absl::StatusOr<bool> applied = co_await ApplyToInner(page, first, 0);
    if (!applied.ok()) co_return applied.status();
    changed = *applied;
  }
  if (!changed) co_return old;
  if (AllHoles(page)) co_return PagePointer{};
  co_return co_await Emit(page);
}

Task<absl::StatusOr<PagePointer>> MapWriter::Raise(PagePointer first_child, uint8_t level) {
  MapPage page = NewPage(level, 0);
  page.pages[0] = first_child;
  const absl::StatusOr<bool> applied = co_await ApplyToInner(page, 0, 1);
  if (!applied.ok()) co_return applied.status();
  if (AllHoles(page)) co_return PagePointer{};
  co_return co_await Emit(page);
}

bool MapWriter::ApplyToLeaf(MapPage& page, Lba first) {
  bool changed = false;
  const Lba end = first + page.blocks.size();
  for (auto it = moves_->lower_bound(first); it != moves_->end() && it->first < end; ++it) {
    BlockLocation& slot = page.blocks[it->first - first];
    if (slot != it->second.from || changes_->Find(it->first, 1).entry != nullptr) continue;
    slot = it->second.to;
    changed = true;
  }
  for (auto it = changes_->FirstBehind(first); it != changes_->end() && it->first < end; ++it) {
    const Lba from = std::max(first, it->first);
    const Lba to = std::min(end, it->first + it->second.blocks);
    for (Lba lba = from; lba < to; ++lba) {
      BlockLocation& slot = page.blocks[lba - first];
      const BlockLocation next = it->second.zero ? BlockLocation{} : it->second.value;
      changed |= slot != next;
      slot = next;
    }
  }
  return changed;
}

Task<absl::StatusOr<bool>> MapWriter::ApplyToInner(MapPage& page, Lba first, size_t slot) {
  bool changed = false;
  const uint64_t span = PageSpan(fanout_bits_, page.level - 1);
  while (slot < page.pages.size()) {
    std::vector<Child> children;
    for (; slot < page.pages.size() && children.size() < kPagesAtOnce; ++slot) {
      const Lba begin = first + slot * span;
      const auto it = changes_->FirstBehind(begin);
      const auto move = moves_->lower_bound(begin);
      if (it == changes_->end() && move == moves_->end()) {
        slot = page.pages.size();
        break;
      }
      const Lba next = std::min(it == changes_->end() ? ~Lba{0} : it->first,
                                move == moves_->end() ? ~Lba{0} : move->first);
      if (next >= begin + span) {
        slot = std::min<uint64_t>((next - first) / span, page.pages.size()) - 1;
        continue;
      }
      if (it != changes_->end() && it->second.zero && it->first <= begin &&
          it->first + it->second.blocks >= begin + span) {
        changed |= !page.pages[slot].hole();
        page.pages[slot] = {};
      } else {
        children.push_back({slot, nullptr});
      }
    }
    CO_RETURN_IF_ERROR(co_await LoadChildren(page, children));
    for (Child& child : children) {
      PagePointer& pointer = page.pages[child.slot];
      const absl::StatusOr<PagePointer> merged = co_await Node(
          pointer, page.level - 1, first / span + child.slot, std::move(child.loaded));
      if (!merged.ok()) co_return merged.status();
      changed |= *merged != pointer;
      pointer = *merged;
    }
  }
  co_return changed;
}

Task<absl::Status> MapWriter::LoadChildren(const MapPage& page, std::vector<Child>& children) {
  Workers workers(scheduler_, kPagesAtOnce);
  for (Child& child : children) {
    if (page.pages[child.slot].hole()) continue;
    co_await workers.Start(LoadChild(page.pages[child.slot], &child.loaded));
  }
  co_return co_await workers.Finish();
}

Task<absl::Status> MapWriter::LoadChild(PagePointer pointer, PagePtr* into) {
  absl::StatusOr<PagePtr> page = co_await tree_->Load(Lane::kUpload, pointer);
  if (page.ok()) *into = *std::move(page);
  co_return page.status();
}

Task<absl::StatusOr<PagePointer>> MapWriter::Emit(const MapPage& page) {
  std::string encoded = EncodeMapPage(page);
  if (body_.size() + encoded.size() + kTagBytes > options_.map_object_bytes) {
    CO_RETURN_IF_ERROR(co_await PutObject());
  }
  if (body_.empty()) {
    sequence_ = (*next_side_)++;
    body_.reserve(options_.map_object_bytes);
    body_.assign(kBlockBytes, '\0');  // the header's place
  }
  if (options_.key.has_value()) {
    const ObjectCipher cipher(*options_.key, stream_.volume, stream_.epoch, stream_.nonce,
                              sequence_);
    encoded = cipher.Encrypt(Piece::kPage, body_.size(), "", encoded);
  }
  PagePointer pointer;
  pointer.stream = stream_.id;
  pointer.sequence = sequence_;
  pointer.offset = static_cast<uint32_t>(body_.size());
  pointer.length = static_cast<uint32_t>(encoded.size());
  pointer.crc = Crc32c(encoded);
  body_ += encoded;
  co_return pointer;
}

Task<absl::Status> MapWriter::PutObject() {
  if (body_.empty()) co_return absl::OkStatus();
  ObjectHeader header;
  header.kind = ObjectKind::kMap;
  header.volume = stream_.volume;
  header.epoch = stream_.epoch;
  header.nonce = stream_.nonce;
  header.sequence = sequence_;
  const std::string encoded = EncodeObjectHeader(header);
  body_.replace(0, encoded.size(), encoded);
  auto body = std::make_shared<const std::string>(std::move(body_));
  body_.clear();
  const absl::StatusOr<ObjectHeader> there =
      co_await store_->Create(Lane::kUpload, header, std::move(body));
  if (!there.ok()) co_return there.status();
  if (*there != header) co_return absl::DataLossError("the name of a map object is taken");
  co_return absl::OkStatus();
}

}  // namespace diskd::object
