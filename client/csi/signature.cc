// SPDX-License-Identifier: Apache-2.0
#include "client/csi/signature.h"

#include <blkid/blkid.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"

namespace diskd::csi {
namespace {

constexpr size_t kReadProbeBytes = 4096;

std::string SignatureName(blkid_probe probe) {
  const char* value = nullptr;
  for (const char* key : {"TYPE", "PTTYPE"}) {
    if (blkid_probe_lookup_value(probe, key, &value, nullptr) == 0) return value;
  }
  return "unknown";
}

}  // namespace

absl::StatusOr<std::optional<std::string>> SignatureOn(int fd, const std::string& name) {
  // A device that can't be read must never look blank.
  char first[kReadProbeBytes];
  errno = 0;
  if (pread(fd, first, sizeof(first), 0) != static_cast<ssize_t>(sizeof(first))) {
    return ErrnoStatus(errno == 0 ? EIO : errno, absl::StrCat("read ", name));
  }
  const std::unique_ptr<struct blkid_struct_probe, void (*)(blkid_probe)> probe(blkid_new_probe(),
                                                                                blkid_free_probe);
  if (probe == nullptr || blkid_probe_set_device(probe.get(), fd, 0, 0) != 0) {
    return absl::InternalError(absl::StrCat("libblkid can't probe ", name));
  }
  blkid_probe_enable_superblocks(probe.get(), 1);
  // A superblock whose checksum is wrong can be repaired; without BADCSUM the device looks blank.
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe.get(), 1);
  switch (blkid_do_safeprobe(probe.get())) {
    case 0:
      return SignatureName(probe.get());
    case 1:
      return std::optional<std::string>();
    case -2:
      return std::optional<std::string>("several signatures");
    default:
      return absl::InternalError(absl::StrCat("libblkid failed on ", name));
  }
}

}  // namespace diskd::csi
