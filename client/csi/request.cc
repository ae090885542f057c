// SPDX-License-Identifier: Apache-2.0
#include "client/csi/request.h"

#include <openssl/sha.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/csi/mount_flags.h"

namespace diskd::csi {
namespace {

using ::csi::v1::VolumeCapability;

constexpr size_t kMaxDriverNameBytes = 63;
constexpr size_t kMaxStringBytes = 128;
constexpr size_t kNameDigestBytes = 20;
constexpr uint32_t kSectorBytes = 512;
constexpr char kDriverParameterPrefix[] = "param.";
// What external-provisioner adds with --extra-create-metadata: facts, not wishes.
constexpr absl::string_view kMetadataKeys[] = {"csi.storage.k8s.io/pvc/name",
                                               "csi.storage.k8s.io/pvc/namespace",
                                               "csi.storage.k8s.io/pv/name"};

absl::Status ApplyParameter(const std::string& key, const std::string& value, Parameters& result) {
  if (key == "driver") {
    if (value.empty()) return absl::InvalidArgumentError("parameter driver is empty");
    result.driver = value;
  } else if (key == kTransportKey) {
    ASSIGN_OR_RETURN(result.transport, ParseTransport(value));
  } else if (key == "blockSize") {
    if (!absl::SimpleAtoi(value, &result.block_bytes) ||
        (result.block_bytes != 512 && result.block_bytes != 4096)) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameter blockSize is \"", value, "\"; use 512 or 4096"));
    }
  } else if (key == kFsTypeKey) {
    RETURN_IF_ERROR(CheckFsType(value));
    result.fs_type = value;
  } else if (absl::StartsWith(key, kDriverParameterPrefix)) {
    const std::string name(absl::StripPrefix(key, kDriverParameterPrefix));
    if (name.empty()) return absl::InvalidArgumentError("parameter \"param.\" names nothing");
    result.driver_parameters[name] = value;
  } else if (std::find(std::begin(kMetadataKeys), std::end(kMetadataKeys), key) ==
             std::end(kMetadataKeys)) {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter \"", key, "\" is unknown; known: driver, transport, blockSize, ",
                     kFsTypeKey, ", param.NAME for parameters of the driver"));
  }
  return absl::OkStatus();
}

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

absl::Status CheckFsType(absl::string_view fs_type) {
  if (fs_type.empty() || fs_type == "ext4" || fs_type == "xfs") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("file system \"", absl::CHexEscape(fs_type),
                                                 "\" is not supported; use ext4 or xfs"));
}

absl::Status CheckDriverName(absl::string_view name) {
  const bool ok = name.size() >= 2 && name.size() <= kMaxDriverNameBytes &&
                  absl::ascii_isalpha(name.front()) && absl::ascii_isalpha(name.back()) &&
                  std::all_of(name.begin(), name.end(), [](char c) {
                    return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
                  });
  if (ok) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("driver name \"", name,
                   "\": use 2 to 63 letters, digits, '-', '.', '_', with a letter first "
                   "and last"));
}

absl::Status CheckVolumeName(absl::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError("name is missing");
  if (name.size() > kMaxStringBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("name has ", name.size(), " bytes; at most ", kMaxStringBytes));
  }
  for (size_t i = 0; i < name.size(); ++i) {
    const unsigned char c = name[i];
    const bool ascii_control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    // U+0080 to U+009F in UTF-8.
    const bool latin_control = c == 0xc2 && i + 1 < name.size() &&
                               static_cast<unsigned char>(name[i + 1]) >= 0x80 &&
                               static_cast<unsigned char>(name[i + 1]) <= 0x9f;
    if (ascii_control || latin_control) {
      return absl::InvalidArgumentError(absl::StrCat("name has a control character at byte ", i));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPath(absl::string_view field, absl::string_view path) {
  if (path.empty()) return absl::InvalidArgumentError(absl::StrCat(field, " is missing"));
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/');
  if (path[0] != '/' || path == "/" || absl::StrContains(path, '\0') ||
      std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    return absl::InvalidArgumentError(absl::StrCat(field, " \"", absl::CHexEscape(path),
                                                   "\" is not an absolute path without .."));
  }
  return absl::OkStatus();
}

std::string AgentVolumeName(absl::string_view name) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest);
  return absl::StrCat("csi-", absl::BytesToHexString(absl::string_view(
                                  reinterpret_cast<const char*>(digest), kNameDigestBytes)));
}

absl::StatusOr<v1::Transport> ParseTransport(absl::string_view text) {
  if (text.empty()) return v1::TRANSPORT_UNSPECIFIED;
  if (text == "buse") return v1::TRANSPORT_BUSE;
  if (text == "fuse") return v1::TRANSPORT_FUSE;
  return absl::InvalidArgumentError(
      absl::StrCat("transport is \"", text, "\"; use buse or fuse, or leave it out"));
}

absl::StatusOr<Parameters> ParseParameters(
    const google::protobuf::Map<std::string, std::string>& parameters) {
  Parameters result;
  for (const auto& [key, value] : parameters) RETURN_IF_ERROR(ApplyParameter(key, value, result));
  return result;
}

absl::StatusOr<Access> ParseCapability(const VolumeCapability& capability) {
  Access access;
  switch (capability.access_type_case()) {
    case VolumeCapability::kBlock:
      access.block = true;
      break;
    case VolumeCapability::kMount: {
      const auto& mount = capability.mount();
      RETURN_IF_ERROR(CheckFsType(mount.fs_type()));
      if (!mount.volume_mount_group().empty()) {
        return absl::InvalidArgumentError("volume_mount_group is not supported");
      }
      access.fs_type = mount.fs_type();
      access.mount_flags.assign(mount.mount_flags().begin(), mount.mount_flags().end());
      RETURN_IF_ERROR(ParseMountFlags(access.mount_flags, access.fs_type).status());
      break;
    }
    default:
      return absl::InvalidArgumentError("access type is missing: say block or mount");
  }
  switch (capability.access_mode().mode()) {
    case VolumeCapability::AccessMode::SINGLE_NODE_WRITER:
    case VolumeCapability::AccessMode::SINGLE_NODE_SINGLE_WRITER:
      break;
    case VolumeCapability::AccessMode::SINGLE_NODE_READER_ONLY:
      access.read_only = true;
      break;
    case VolumeCapability::AccessMode::SINGLE_NODE_MULTI_WRITER:
      access.many_targets = true;
      break;
    case VolumeCapability::AccessMode::UNKNOWN:
      return absl::InvalidArgumentError("access mode is missing");
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "access mode ", VolumeCapability::AccessMode::Mode_Name(capability.access_mode().mode()),
          " is not supported: a volume is a disk of one node"));
  }
  return access;
}

absl::StatusOr<uint64_t> ChooseSize(const ::csi::v1::CapacityRange& range, uint32_t block_bytes,
                                    uint64_t minimum) {
  const int64_t required = range.required_bytes(), limit = range.limit_bytes();
  if (required < 0 || limit < 0) {
    return absl::InvalidArgumentError("capacity_range has a negative bound");
  }
  const uint64_t unit = block_bytes == 0 ? kSectorBytes : block_bytes;
  const uint64_t top =
      limit == 0 ? kMaxSizeBytes : std::min<uint64_t>(limit, kMaxSizeBytes) / unit * unit;
  const uint64_t least = std::max<uint64_t>(minimum, kMinSizeBytes);
  // Nothing required: the default, or what the limit leaves of it.
  uint64_t size = required == 0 ? std::min<uint64_t>(kDefaultSizeBytes, top) : required;
  size = RoundUp(std::max<uint64_t>(size, least), unit);
  if (size > top) {
    return absl::OutOfRangeError(absl::StrCat(
        "capacity_range requires ", required, " and allows ", limit == 0 ? top : limit,
        " bytes; a volume has ", least, " to ", kMaxSizeBytes, " bytes in blocks of ", unit));
  }
  return size;
}

bool SizeInRange(const ::csi::v1::CapacityRange& range, uint64_t size) {
  return size >= static_cast<uint64_t>(std::max<int64_t>(range.required_bytes(), 0)) &&
         (range.limit_bytes() <= 0 || size <= static_cast<uint64_t>(range.limit_bytes()));
}

}  // namespace diskd::csi
