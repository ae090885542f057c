// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/resting_volume.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/offline_volumes.h"
#include "drivers/object/served_volume.h"

namespace diskd::object {
namespace {

absl::StatusOr<Head> Load(OfflineVolumes& offline, const Uuid& id) {
  return offline.Run<absl::StatusOr<Head>>(
      [&id](Volumes& volumes, auto done) { volumes.Load(id, std::move(done)); });
}

std::string Text(const CheckProblem& problem) {
  std::string text = problem.snapshot == 0 ? std::string("the volume")
                                           : absl::StrCat("snapshot ", problem.snapshot);
  if (problem.blocks > 0) {
    absl::StrAppend(&text, " at ", problem.lba * kBlockBytes, ", ", problem.blocks * kBlockBytes,
                    " bytes");
  }
  absl::StrAppend(&text, ": ", problem.message);
  if (!absl::StrContains(problem.message, problem.object)) {
    absl::StrAppend(&text, " (object ", problem.object, ")");
  }
  return text;
}

}  // namespace

absl::StatusOr<std::vector<sdk::Snapshot>> RestingVolume::ListSnapshots() {
  ASSIGN_OR_RETURN(const ObjectVolume volume, ParseVolume(config_));
  ASSIGN_OR_RETURN(const auto offline, OfflineVolumes::Open(volume));
  ASSIGN_OR_RETURN(const Head head, Load(*offline, volume.id));
  return SnapshotsOf(head);
}

absl::StatusOr<sdk::CreatedSnapshot> RestingVolume::CreateSnapshot(const std::string& name) {
  ASSIGN_OR_RETURN(const auto volume, ServedVolume::Open(config_, /*at_rest=*/true));
  return volume->CreateSnapshot(name);
}

absl::Status RestingVolume::DeleteSnapshot(const std::string& name) {
  ASSIGN_OR_RETURN(const ObjectVolume volume, ParseVolume(config_));
  if (volume.options.fencing == Fencing::kLease) {
    ASSIGN_OR_RETURN(const auto owned, ServedVolume::Open(config_, /*at_rest=*/true));
    return owned->DeleteSnapshot(name);
  }
  ASSIGN_OR_RETURN(const auto offline, OfflineVolumes::Open(volume));
  ASSIGN_OR_RETURN(const Head head, Load(*offline, volume.id));
  const auto snapshot = FindSnapshot(head, name);
  if (absl::IsNotFound(snapshot.status())) return absl::OkStatus();
  return offline->Run<absl::Status>([&](Volumes& volumes, auto done) {
    volumes.DeleteSnapshot(volume.id, snapshot->id, std::move(done));
  });
}

absl::StatusOr<uint64_t> RestingVolume::RollBack(const std::string& snapshot) {
  ASSIGN_OR_RETURN(const auto volume, ServedVolume::Open(config_, /*at_rest=*/true));
  return volume->RollBack(snapshot);
}

absl::Status RestingVolume::Resize(uint64_t size_bytes) {
  ASSIGN_OR_RETURN(const auto volume, ServedVolume::Open(config_, /*at_rest=*/true));
  return volume->Resize(size_bytes);
}

absl::StatusOr<sdk::DiffPage> RestingVolume::Diff(const std::string& from, const std::string& to,
                                                  uint64_t begin, size_t max_extents) {
  ASSIGN_OR_RETURN(const ObjectVolume volume, ParseVolume(config_));
  ASSIGN_OR_RETURN(const auto offline, OfflineVolumes::Open(volume));
  ASSIGN_OR_RETURN(const Head head, Load(*offline, volume.id));
  uint64_t older = 0;
  if (!from.empty()) {
    ASSIGN_OR_RETURN(const sdk::Snapshot snapshot, FindSnapshot(head, from));
    older = snapshot.id;
  }
  ASSIGN_OR_RETURN(const sdk::Snapshot newer, FindSnapshot(head, to));
  ASSIGN_OR_RETURN(const DiffPage found,
                   offline->Run<absl::StatusOr<DiffPage>>([&](Volumes& volumes, auto done) {
                     volumes.Diff(volume.id, older, newer.id, begin / kBlockBytes, max_extents,
                                  std::move(done));
                   }));
  sdk::DiffPage page;
  page.next = found.next * kBlockBytes;
  page.size_bytes = found.size_blocks * kBlockBytes;
  for (const ChangedExtent& extent : found.extents) {
    page.extents.push_back({extent.lba * kBlockBytes, extent.blocks * kBlockBytes, extent.zero});
  }
  return page;
}

absl::StatusOr<sdk::CheckReport> RestingVolume::Check() {
  ASSIGN_OR_RETURN(const ObjectVolume volume, ParseVolume(config_));
  ASSIGN_OR_RETURN(const auto offline, OfflineVolumes::Open(volume));
  ASSIGN_OR_RETURN(const CheckReport found,
                   offline->Run<absl::StatusOr<CheckReport>>([&](Volumes& volumes, auto done) {
                     volumes.Check(volume.id, std::move(done));
                   }));
  sdk::CheckReport report;
  const auto count = [&report](const char* name, uint64_t value, const char* unit) {
    report.counts.push_back({name, static_cast<double>(value), unit});
  };
  count("map_pages", found.pages, "");
  count("objects", found.objects + found.tail_objects, "");
  count("data", found.blocks * kBlockBytes, "bytes");
  count("garbage_objects", found.garbage_objects, "");
  count("garbage", found.garbage_bytes, "bytes");
  count("orphan_objects", found.orphan_objects, "");
  count("orphans", found.orphan_bytes, "bytes");
  for (const CheckProblem& problem : found.problems) report.problems.push_back(Text(problem));
  report.more_problems = found.more_problems;
  return report;
}

}  // namespace diskd::object
