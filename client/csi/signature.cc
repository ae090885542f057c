// SPDX-License-Identifier: Apache-2.0
#include "client/csi/signature.h"

#include <blkid/blkid.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/errno_status.h"
#include "client/csi/host.h"

namespace diskd::csi {
namespace {

constexpr size_t kReadProbeBytes = 4096;

// The superblock of xfs, big-endian but for its checksum.
constexpr size_t kXfsSectorBytesAt = 102;  // sb_sectsize
constexpr size_t kXfsInProgressAt = 126;   // sb_inprogress
constexpr size_t kXfsChecksumAt = 224;     // sb_crc
constexpr uint32_t kCrc32cReversed = 0x82f63b78;

uint32_t ByteOf(absl::string_view bytes, size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// Of a few sectors at most; `hole`: four bytes that count as zeros.
uint32_t Crc32cWithout(absl::string_view bytes, size_t hole) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i < hole || i >= hole + sizeof(crc)) crc ^= ByteOf(bytes, i);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? kCrc32cReversed : 0);
  }
  return ~crc;
}

// mkfs.xfs writes the superblock with a mark, which it takes away at its end. A mark without a
// right checksum is damage to a file system that had been finished, and for xfs_repair.
bool IsUnfinishedXfs(absl::string_view first) {
  if (first[kXfsInProgressAt] == 0) return false;
  const size_t sector =
      ByteOf(first, kXfsSectorBytesAt) << 8 | ByteOf(first, kXfsSectorBytesAt + 1);
  if (sector < kXfsChecksumAt + sizeof(uint32_t) || sector > first.size()) return false;
  uint32_t checksum = 0;
  for (size_t i = 0; i < sizeof(checksum); ++i) {
    checksum |= ByteOf(first, kXfsChecksumAt + i) << (8 * i);
  }
  return Crc32cWithout(first.substr(0, sector), kXfsChecksumAt) == checksum;
}

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
    case 0: {
      const std::string found = SignatureName(probe.get());
      if (found == "xfs" && IsUnfinishedXfs({first, sizeof(first)})) return kUnfinishedXfs;
      return found;
    }
    case 1:
      return std::optional<std::string>();
    case -2:
      return std::optional<std::string>("several signatures");
    default:
      return absl::InternalError(absl::StrCat("libblkid failed on ", name));
  }
}

}  // namespace diskd::csi
