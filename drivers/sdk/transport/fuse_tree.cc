// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/transport/fuse_tree.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/string_view.h"
#include "drivers/sdk/device/fuse_device.h"

namespace diskd::sdk {
namespace {

// The name never changes its meaning; attributes are asked for again, so that a new size shows.
constexpr uint64_t kEntryValidSeconds = 3600;
constexpr uint32_t kIoBlockBytes = 4096;
constexpr uint32_t kMaxNameBytes = 255;
// Attributes whose loss nobody sees: times and the file handle the kernel passes along.
constexpr uint32_t kIgnoredAttributes = FATTR_ATIME | FATTR_MTIME | FATTR_FH | FATTR_ATIME_NOW |
                                        FATTR_MTIME_NOW | FATTR_LOCKOWNER | FATTR_CTIME |
                                        FATTR_KILL_SUIDGID;

template <typename T>
bool Take(absl::Span<const std::byte> arguments, T& out) {
  if (arguments.size() < sizeof(T)) return false;
  memcpy(&out, arguments.data(), sizeof(T));
  return true;
}

template <typename T>
void Give(FuseAnswer& answer, const T& value) {
  static_assert(sizeof(T) <= sizeof(answer.body));
  memcpy(answer.body, &value, sizeof(T));
  answer.length = sizeof(T);
}

bool AttributesOf(const Geometry& geometry, uint64_t node, fuse_attr& attributes) {
  attributes = {};
  attributes.ino = node;
  attributes.blksize = kIoBlockBytes;
  if (node == FUSE_ROOT_ID) {
    attributes.mode = S_IFDIR | 0700;
    attributes.nlink = 2;
    return true;
  }
  if (node != kFuseDiskNode) return false;
  attributes.mode = S_IFREG | (geometry.read_only ? 0400 : 0600);
  attributes.nlink = 1;
  attributes.size = geometry.size_bytes;
  attributes.blocks = geometry.size_bytes / 512;
  return true;
}

void GiveAttributes(const Geometry& geometry, uint64_t node, FuseAnswer& answer) {
  fuse_attr_out out{};
  if (!AttributesOf(geometry, node, out.attr)) {
    answer.error = ENOENT;
    return;
  }
  Give(answer, out);
}

void Lookup(const Geometry& geometry, uint64_t parent, absl::Span<const std::byte> arguments,
            FuseAnswer& answer) {
  const auto* text = reinterpret_cast<const char*>(arguments.data());
  const absl::string_view name(text, strnlen(text, arguments.size()));
  if (parent != FUSE_ROOT_ID || name != kFuseDiskName) {
    answer.error = ENOENT;
    return;
  }
  fuse_entry_out out{};
  out.nodeid = kFuseDiskNode;
  out.entry_valid = kEntryValidSeconds;
  AttributesOf(geometry, kFuseDiskNode, out.attr);
  Give(answer, out);
}

void SetAttributes(const Geometry& geometry, uint64_t node, absl::Span<const std::byte> arguments,
                   FuseAnswer& answer) {
  fuse_setattr_in in;
  if (!Take(arguments, in)) {
    answer.error = EINVAL;
    return;
  }
  uint32_t changes = in.valid & ~kIgnoredAttributes;
  if ((changes & FATTR_SIZE) != 0 && in.size == geometry.size_bytes) changes &= ~FATTR_SIZE;
  if (changes != 0) {
    answer.error = EPERM;
    return;
  }
  GiveAttributes(geometry, node, answer);
}

void Open(uint32_t opcode, FuseAnswer& answer) {
  fuse_open_out out{};
  if (opcode == FUSE_OPEN) {
    out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_NOFLUSH;
  }
  Give(answer, out);
}

void ReadDirectory(absl::Span<const std::byte> arguments, FuseAnswer& answer) {
  fuse_read_in in;
  if (!Take(arguments, in)) {
    answer.error = EINVAL;
    return;
  }
  if (in.offset != 0) return;  // the one entry has been given: end of directory
  const absl::string_view name = kFuseDiskName;
  fuse_dirent entry{};
  entry.ino = kFuseDiskNode;
  entry.off = 1;
  entry.namelen = name.size();
  entry.type = DT_REG;
  const size_t length = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.size());
  if (in.size < length) return;
  memset(answer.body, 0, length);
  memcpy(answer.body, &entry, FUSE_NAME_OFFSET);
  memcpy(answer.body + FUSE_NAME_OFFSET, name.data(), name.size());
  answer.length = length;
}

void FileSystemStatus(const Geometry& geometry, FuseAnswer& answer) {
  fuse_statfs_out out{};
  // The loop device takes this block size for its discard granularity.
  out.st.bsize = geometry.discard_granularity_bytes;
  out.st.frsize = geometry.discard_granularity_bytes;
  out.st.blocks = geometry.size_bytes / geometry.discard_granularity_bytes;
  out.st.files = 1;
  out.st.namelen = kMaxNameBytes;
  Give(answer, out);
}

}  // namespace

void AnswerFuseTree(const Geometry& geometry, const fuse_in_header& header,
                    absl::Span<const std::byte> arguments, FuseAnswer& answer) {
  answer.wanted = true;
  answer.error = 0;
  answer.length = 0;
  switch (header.opcode) {
    case FUSE_LOOKUP:
      return Lookup(geometry, header.nodeid, arguments, answer);
    case FUSE_GETATTR:
      return GiveAttributes(geometry, header.nodeid, answer);
    case FUSE_SETATTR:
      return SetAttributes(geometry, header.nodeid, arguments, answer);
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      return Open(header.opcode, answer);
    case FUSE_READDIR:
      return ReadDirectory(arguments, answer);
    case FUSE_STATFS:
      return FileSystemStatus(geometry, answer);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:  // requests take as long as the disk takes
      answer.wanted = false;
      return;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_FSYNCDIR:
    case FUSE_ACCESS:
    case FUSE_DESTROY:
      return;
    default:
      answer.error = ENOSYS;
  }
}

}  // namespace diskd::sdk
