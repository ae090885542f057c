// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_driver.h"

#include "base/status_macros.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/provision.h"
#include "drivers/object/resting_volume.h"
#include "drivers/object/served_volume.h"

namespace diskd::object {
namespace {

absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config) {
  return ServedVolume::Open(config, /*at_rest=*/false);
}

absl::StatusOr<std::unique_ptr<sdk::VolumeFeatures>> AtRest(const sdk::VolumeConfig& config) {
  return std::make_unique<RestingVolume>(config);
}

}  // namespace

const sdk::DriverDefinition& Definition() {
  static const auto* const definition = new sdk::DriverDefinition{
      "object",
      "log-structured disk in a directory or an S3-compatible store",
      {{"store", "dir:PATH (absolute) or s3://BUCKET[/PREFIX]"},
       {"durability",
        "what a flush waits for: local (default; the write log) or remote (the store)"},
       {"fencing",
        "what keeps two owners apart: cas (default; conditional PUT) or lease (clocks, for stores "
        "without; see docs/object-lease.md)"},
       {"lease_s", "fencing=lease: how long an owner acts without the store, in s (default 60)"},
       {"late_s",
        "fencing=lease: no request is applied later than so many s after its sending (default 60)"},
       {"open_limit_s", "ignored: an open has the time that its leases need"},
       {"compression", "of new objects: none (default), zstd or zstd:LEVEL, 1 to 19"},
       {"encryption", "aes-256-gcm or none (default: by whether there is a key)"},
       {"encryption_key_file",
        "file with the key, 32 bytes or 64 hexadecimal digits (or secret encryption_key)"},
       {"log_dir", "directory of the write log, on a local disk (default: the volume's state)"},
       {"log_mib", "size of the write log in MiB, 16 to 1024 (default 256)"},
       {"cache_mib", "size of the read cache beside the log in MiB, 0 or 16 to 4096 (default 256)"},
       {"volume", "the volume's folder in the store, 32 hexadecimal digits (default: from its id)",
        /*own=*/true},
       {"existing", "refuse (default) or use a volume that is in the store already",
        /*own=*/true},
       {"endpoint", "s3: URL of the service (default: AWS)"},
       {"region", "s3: default AWS_REGION, else us-east-1"},
       {"addressing", "s3: auto (default), path or virtual"},
       {"ca_file", "s3: certificates to trust"},
       {"credentials_file",
        "s3: keys, in the format of ~/.aws/credentials (or secrets access_key_id, "
        "secret_access_key; default: environment)"}},
      ProvisionVolume,
      DeprovisionVolume,
      Open,
      AtRest,
      CloneVolume,
      {kKeySecret, "access_key_id", "secret_access_key", "session_token"},
      CopyVolume};
  return *definition;
}

}  // namespace diskd::object
