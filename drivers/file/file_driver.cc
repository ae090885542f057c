// SPDX-License-Identifier: Apache-2.0
#include "drivers/file/file_driver.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/file/backing.h"
#include "drivers/file/file_queue.h"
#include "drivers/file/provision.h"

namespace diskd::file_driver {
namespace {

class FileDriver final : public sdk::Driver {
 public:
  FileDriver(std::string path, Backing backing, const sdk::Geometry& geometry, bool preallocated)
      : path_(std::move(path)),
        backing_(std::move(backing)),
        geometry_(geometry),
        preallocated_(preallocated) {}

  sdk::Geometry geometry() const override { return geometry_; }

  absl::StatusOr<std::unique_ptr<sdk::Queue>> OpenQueue(int, sdk::QueueIo& io) override {
    RETURN_IF_ERROR(io.Start());
    return std::make_unique<FileQueue>(backing_.fd.get(), preallocated_, io);
  }

  absl::Status LetGo() override { return ReleaseBacking(path_, backing_); }
  absl::Status TakeOver() override { return ClaimBacking(path_, backing_); }

 private:
  const std::string path_;
  Backing backing_;
  const sdk::Geometry geometry_;
  const bool preallocated_;
};

absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const Place place, PlaceOf(config));
  ASSIGN_OR_RETURN(Backing backing, OpenBacking(place.path, config.read_only));
  if (!config.standby) RETURN_IF_ERROR(ClaimBacking(place.path, backing));
  if (backing.size_bytes < config.size_bytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config.volume_id, ": ", place.path, " has ", backing.size_bytes,
                     " bytes, fewer than the volume's ", config.size_bytes,
                     ": something has cut it; restore it"));
  }
  sdk::Geometry geometry;
  geometry.size_bytes = config.size_bytes;
  geometry.logical_block_bytes = std::max(config.logical_block_bytes, backing.block_bytes);
  if (geometry.size_bytes % geometry.logical_block_bytes != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config.volume_id, ": its size of ", geometry.size_bytes,
                     " bytes is not a multiple of ", geometry.logical_block_bytes,
                     ", the block of what ", place.path, " is on: choose a size that is"));
  }
  geometry.read_only = config.read_only;
  geometry.volatile_cache = true;
  geometry.fua = true;
  // Holes would give back what allocate=full has reserved.
  geometry.discard = backing.punch && !place.preallocate;
  geometry.write_zeroes = backing.punch;
  geometry.discard_granularity_bytes = backing.granularity_bytes;
  return std::make_unique<FileDriver>(place.path, std::move(backing), geometry, place.preallocate);
}

}  // namespace

const sdk::DriverDefinition& Definition() {
  static const sdk::DriverDefinition definition{
      .name = "file",
      .description = "Raw file or block device, by io_uring and O_DIRECT",
      .parameters =
          {{"path", "file to create, or an existing block device"},
           {"dir", "directory for a file named after the volume (default: the agent's own)"},
           {"allocate", "thin (default): space is taken as it is written; full: at creation"},
           {"existing", "refuse (default) or use: take an existing file at path, keep its data"}},
      .provision = Provision,
      .deprovision = Deprovision,
      .open = Open,
  };
  return definition;
}

}  // namespace diskd::file_driver
