// SPDX-License-Identifier: Apache-2.0
//
// Copies between stores.
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/object/engine/head_keeper.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/offline_volumes.h"
#include "drivers/object/provision.h"
#include "drivers/object/runtime/log_file.h"
#include "drivers/object/served_volume.h"

namespace diskd::object {
namespace {

// The same rules as for a new volume: the store must be able to fence, and nothing is packed as
// nobody has asked for.
absl::Status CheckTarget(const ObjectVolume& volume, const Head& source) {
  if (volume.use_existing) {
    return absl::InvalidArgumentError(
        "parameter existing=use: leave it out, a copy is a new volume");
  }
  if (source.encrypted && !volume.options.key.has_value() && !volume.packing.plain) {
    return absl::FailedPreconditionError(
        "the source is encrypted and the copy would not be: give the copy a key "
        "(encryption_key_file or secret encryption_key), or say encryption=none");
  }
  StoreParameters parameters = volume.store;
  parameters.create = true;
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenStore(parameters));
  return CheckFencing(*store, volume);
}

}  // namespace

absl::Status CopyVolume(const sdk::VolumeConfig& config, const sdk::VolumeConfig& source,
                        const std::string& snapshot) {
  ASSIGN_OR_RETURN(const ObjectVolume volume, ParseVolume(config));
  ASSIGN_OR_RETURN(const ObjectVolume parent, ParseVolume(source));
  ASSIGN_OR_RETURN(const auto from, OfflineVolumes::Open(parent));
  ASSIGN_OR_RETURN(const Origin origin,
                   FindOrigin(*from, parent, parent.options, snapshot, config, "copy"));
  RETURN_IF_ERROR(CheckTarget(volume, origin.head));
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenStore(volume.store));
  RETURN_IF_ERROR(MarkAsMade(config, *store, volume, ""));
  sdk::ReportProgress(config, 0, config.size_bytes);
  ASSIGN_OR_RETURN(const auto to, OfflineVolumes::OpenBeside(volume, *from));
  const CopyProgress progress = [&config](uint64_t blocks, uint64_t of) {
    sdk::ReportProgress(config, blocks * kBlockBytes, of * kBlockBytes);
  };
  RETURN_IF_ERROR(from->Run<absl::Status>([&](Volumes& volumes, auto done) {
    volumes.CopyTo(parent.id, origin.snapshot.id, to->volumes(), volume.id, progress,
                   std::move(done));
  }));
  return MakeLogFile(volume.log_path, volume.log_bytes);
}

}  // namespace diskd::object
