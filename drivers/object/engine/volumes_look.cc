// SPDX-License-Identifier: Apache-2.0
//
// Looking into volumes that others may be serving.
#include <utility>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/volumes.h"

namespace diskd::object {

Volumes::View::View(Volumes* self, const Uuid& volume)
    : keeper(self->Keeper(volume)),
      tree(
          &self->store_, [this](uint16_t id) { return keeper.head().FindStream(id); },
          self->options_),
      reader(
          &self->store_, &tree, [this]() -> const Head& { return keeper.head(); }, self->options_) {
}

absl::StatusOr<PagePointer> Volumes::View::Root(uint64_t snapshot, uint64_t* size_blocks) const {
  const Head& head = keeper.head();
  *size_blocks = head.size_blocks;
  if (snapshot == 0) return head.checkpoint.root;
  const SnapshotEntry* entry = head.FindSnapshot(snapshot);
  if (entry == nullptr || entry->deleted) {
    return absl::NotFoundError(
        absl::StrCat("volume ", head.volume.Hex(), " has no snapshot ", snapshot));
  }
  *size_blocks = entry->size_blocks;
  return entry->root;
}

void Volumes::Diff(const Uuid& volume, uint64_t from, uint64_t to, Lba begin, size_t max_extents,
                   std::function<void(absl::StatusOr<DiffPage>)> done) {
  auto run = [](Volumes* self, Uuid volume, uint64_t from, uint64_t to, Lba begin,
                size_t max_extents) -> Task<absl::StatusOr<DiffPage>> {
    View view(self, volume);
    CO_RETURN_IF_ERROR(co_await view.keeper.Load());
    CO_RETURN_IF_ERROR(CheckKey(view.keeper.head(), self->options_));
    uint64_t size_blocks = 0;
    absl::StatusOr<PagePointer> old = PagePointer{};
    if (from != 0) old = view.Root(from, &size_blocks);
    if (!old.ok()) co_return old.status();
    const absl::StatusOr<PagePointer> now = view.Root(to, &size_blocks);
    if (!now.ok()) co_return now.status();
    co_return co_await DiffRoots(&view.tree, Lane::kRead, *old, *now, size_blocks, begin,
                                 max_extents);
  };
  auto answer = [](auto task, auto done) -> Task<void> { done(co_await std::move(task)); };
  tasks_.Spawn(answer(run(this, volume, from, to, begin, max_extents), std::move(done)));
}

void Volumes::Read(const Uuid& volume, uint64_t snapshot, Lba lba, uint64_t blocks, std::byte* into,
                   Done done) {
  auto run = [](Volumes* self, Uuid volume, uint64_t snapshot, Lba lba, uint64_t blocks,
                std::byte* into) -> Task<absl::Status> {
    View view(self, volume);
    CO_RETURN_IF_ERROR(co_await view.keeper.Load());
    CO_RETURN_IF_ERROR(CheckKey(view.keeper.head(), self->options_));
    uint64_t size_blocks = 0;
    const absl::StatusOr<PagePointer> root = view.Root(snapshot, &size_blocks);
    if (!root.ok()) co_return root.status();
    if (lba > size_blocks || blocks > size_blocks - lba) {
      co_return absl::InvalidArgumentError(
          absl::StrCat("blocks ", lba, " to ", lba + blocks, " are not all within ", size_blocks));
    }
    co_return co_await view.reader.ReadRange(*root, lba, blocks, into);
  };
  auto answer = [](auto task, auto done) -> Task<void> { done(co_await std::move(task)); };
  tasks_.Spawn(answer(run(this, volume, snapshot, lba, blocks, into), std::move(done)));
}

void Volumes::CopyTo(const Uuid& source, uint64_t snapshot, Volumes* target, const Uuid& copy,
                     CopyProgress progress, Done done) {
  auto run = [](Volumes* self, Uuid source, uint64_t snapshot, Volumes* target, Uuid volume,
                CopyProgress progress, Done done) -> Task<void> {
    const CopySide from{&self->store_, &self->options_, source};
    const CopySide to{&target->store_, &target->options_, volume};
    Copy copy(self->scheduler_, from, snapshot, to, std::move(progress));
    const absl::Status status = co_await copy.Run();
    if (target->lease_ != nullptr) co_await target->lease_->Release();
    done(status);
  };
  tasks_.Spawn(run(this, source, snapshot, target, copy, std::move(progress), std::move(done)));
}

void Volumes::Check(const Uuid& volume, std::function<void(absl::StatusOr<CheckReport>)> done) {
  auto run = [](Volumes* self, Uuid volume, auto done) -> Task<void> {
    object::Check check(&self->store_, self->scheduler_, volume, self->options_);
    done(co_await check.Run());
  };
  tasks_.Spawn(run(this, volume, std::move(done)));
}

}  // namespace diskd::object
