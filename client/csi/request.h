// SPDX-License-Identifier: Apache-2.0
//
// Checks of what the orchestrator sends, without any effect. Functions are thread-safe; errors are
// INVALID_ARGUMENT unless said otherwise. No message repeats a mount flag or a secret.
#ifndef DISKD_CLIENT_CSI_REQUEST_H_
#define DISKD_CLIENT_CSI_REQUEST_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/csi/v1/csi.pb.h"
#include "proto/diskd/v1/types.pb.h"

namespace diskd::csi {

inline constexpr char kDefaultFsType[] = "ext4";
inline constexpr char kTransportKey[] = "transport";  // of parameters and of the volume context
inline constexpr char kFsTypeKey[] = "csi.storage.k8s.io/fstype";
inline constexpr uint64_t kDefaultSizeBytes = 1ull << 30;
inline constexpr uint64_t kMinSizeBytes = 1ull << 20;
inline constexpr uint64_t kMaxSizeBytes = 1ull << 50;
inline constexpr uint64_t kMinXfsBytes = 300ull << 20;  // mkfs.xfs refuses less

// Whether `name` can be a plugin's: 2 to 63 letters, digits, '-', '.', '_', the first and the
// last a letter.
absl::Status CheckDriverName(absl::string_view name);

// Required, at most 128 bytes, no control characters.
absl::Status CheckVolumeName(absl::string_view name);
// Required, absolute, without "..".
absl::Status CheckPath(absl::string_view field, absl::string_view path);

// The agent's name of a volume that the orchestrator calls `name`: "csi-" and 40 hexadecimal
// digits of its SHA-256. Deterministic.
std::string AgentVolumeName(absl::string_view name);

// Parameters of a StorageClass.
struct Parameters {
  std::string driver = "file";
  v1::Transport transport = v1::TRANSPORT_UNSPECIFIED;
  uint32_t block_bytes = 0;  // 0: the agent's choice
  std::string fs_type;       // empty: not said
  std::map<std::string, std::string> driver_parameters;
};
absl::StatusOr<Parameters> ParseParameters(
    const google::protobuf::Map<std::string, std::string>& parameters);

// "", "ext4" or "xfs".
absl::Status CheckFsType(absl::string_view fs_type);

// "", "buse" or "fuse".
absl::StatusOr<v1::Transport> ParseTransport(absl::string_view text);

// A VolumeCapability that this plugin supports.
struct Access {
  bool block = false;
  std::string fs_type;                   // of mount access; empty: not said
  std::vector<std::string> mount_flags;  // of mount access; each on the allow-list
  bool read_only = false;                // by the access mode
  bool many_targets = false;             // may be published at several paths of the node
};
absl::StatusOr<Access> ParseCapability(const ::csi::v1::VolumeCapability& capability);

// The size for a new volume with this range; OUT_OF_RANGE: none fits. `minimum`: at least this,
// for the file system. `block_bytes` 0 counts as 512.
absl::StatusOr<uint64_t> ChooseSize(const ::csi::v1::CapacityRange& range, uint32_t block_bytes,
                                    uint64_t minimum);
// Whether an existing volume of `size` is within the range.
bool SizeInRange(const ::csi::v1::CapacityRange& range, uint64_t size);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_REQUEST_H_
