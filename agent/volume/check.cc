// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/check.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/volume/names.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::v1::DriverInfo;
using diskd::v1::Transport;

template <typename Range>
std::string Names(const Range& range) {
  if (range.empty()) return "none";
  return absl::StrJoin(
      range, ", ", [](std::string* out, const auto& item) { absl::StrAppend(out, item.name()); });
}

absl::StatusOr<DriverInfo> FindDriver(const std::string& name,
                                      const std::vector<DriverInfo>& drivers) {
  std::vector<DriverInfo> usable;
  for (const DriverInfo& driver : drivers) {
    if (driver.name() == name && !driver.problem().empty()) {
      return absl::InvalidArgumentError(absl::StrCat("driver \"", name, "\" (", driver.path(),
                                                     ") can't be used: ", driver.problem()));
    }
    if (driver.name() == name) return driver;
    if (driver.problem().empty()) usable.push_back(driver);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no driver is named \"", name, "\": available drivers are ", Names(usable)));
}

absl::Status CheckParameters(const google::protobuf::Map<std::string, std::string>& parameters,
                             const DriverInfo& driver) {
  size_t bytes = 0;
  for (const auto& [name, value] : parameters) {
    bytes += name.size() + value.size();
    const bool known = std::any_of(driver.parameters().begin(), driver.parameters().end(),
                                   [&name = name](const auto& p) { return p.name() == name; });
    if (known) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("driver \"", driver.name(), "\" has no parameter \"", name,
                     "\": its parameters are ", Names(driver.parameters())));
  }
  if (bytes <= kMaxParameterBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("parameters of ", bytes, " bytes: use at most ", kMaxParameterBytes));
}

template <typename T>
void Compare(const char* what, const T& existing, const T& wanted, std::string& difference) {
  if (existing == wanted || !difference.empty()) return;
  difference = absl::StrCat(what, " is ", existing, ", not ", wanted);
}

std::string ShortName(Transport transport) {
  std::string name = absl::AsciiStrToLower(diskd::v1::Transport_Name(transport));
  return name.substr(name.find('_') + 1);
}

absl::StatusOr<Transport> Resolve(Transport wanted,
                                  const std::vector<diskd::v1::TransportInfo>& transports) {
  std::string reasons;
  for (const auto& info : transports) {
    if (wanted != diskd::v1::TRANSPORT_UNSPECIFIED && info.transport() != wanted) continue;
    if (info.available()) return info.transport();
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", ShortName(info.transport()),
                    " is not available: ", info.reason());
  }
  if (reasons.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("transport ", static_cast<int>(wanted), " is unknown: use buse or fuse"));
  }
  return absl::FailedPreconditionError(reasons);
}

}  // namespace

absl::Status CheckSize(uint64_t size, uint32_t block) {
  if (block != 512 && block != 1024 && block != 2048 && block != 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("logical block of ", block, " bytes: use 512, 1024, 2048 or 4096"));
  }
  if (size < kMinVolumeBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("size of ", size, " bytes: use at least ", kMinVolumeBytes, " (1 MiB)"));
  }
  if (size > kMaxVolumeBytes) {
    return absl::InvalidArgumentError(absl::StrCat("size of ", size, " bytes is too large: use at ",
                                                   "most ", kMaxVolumeBytes, " (1 PiB)"));
  }
  if (size % block != 0) {
    return absl::InvalidArgumentError(absl::StrCat("size of ", size, " bytes is not a multiple of ",
                                                   "the logical block of ", block,
                                                   " bytes: round it to ", size - size % block));
  }
  return absl::OkStatus();
}

absl::StatusOr<VolumeRecord> CheckCreate(const diskd::v1::CreateVolumeRequest& request,
                                         const std::vector<DriverInfo>& drivers) {
  const uint32_t block =
      request.logical_block_bytes() == 0 ? kDefaultBlockBytes : request.logical_block_bytes();
  RETURN_IF_ERROR(CheckName(request.name()));
  RETURN_IF_ERROR(CheckSize(request.size_bytes(), block));
  ASSIGN_OR_RETURN(const DriverInfo driver, FindDriver(request.driver(), drivers));
  RETURN_IF_ERROR(CheckParameters(request.parameters(), driver));
  VolumeRecord volume;
  volume.set_name(request.name());
  volume.set_driver(request.driver());
  volume.set_size_bytes(request.size_bytes());
  volume.set_logical_block_bytes(block);
  *volume.mutable_parameters() = request.parameters();
  return volume;
}

std::string Difference(const VolumeRecord& existing, const VolumeRecord& wanted) {
  std::string difference;
  Compare("driver", existing.driver(), wanted.driver(), difference);
  Compare("source", absl::StrCat(existing.source().volume(), "@", existing.source().snapshot()),
          absl::StrCat(wanted.source().volume(), "@", wanted.source().snapshot()), difference);
  Compare("full copy", existing.source().full_copy(), wanted.source().full_copy(), difference);
  Compare("size", existing.size_bytes(), wanted.size_bytes(), difference);
  Compare("logical block", existing.logical_block_bytes(), wanted.logical_block_bytes(),
          difference);
  for (const auto& [name, value] : wanted.parameters()) {
    const auto found = existing.parameters().find(name);
    const std::string has = found == existing.parameters().end() ? "" : found->second;
    Compare(absl::StrCat("parameter ", name).c_str(), absl::StrCat("\"", has, "\""),
            absl::StrCat("\"", value, "\""), difference);
  }
  for (const auto& [name, value] : existing.parameters()) {
    if (wanted.parameters().count(name) != 0 || !difference.empty()) continue;
    difference = absl::StrCat("parameter ", name, " is \"", value, "\", not unset");
  }
  return difference;
}

absl::StatusOr<AttachmentRecord> CheckAttach(
    const diskd::v1::AttachVolumeRequest& request,
    const std::vector<diskd::v1::TransportInfo>& transports, uint32_t cpus) {
  if (request.queues() > kMaxQueues) {
    return absl::InvalidArgumentError(absl::StrCat(request.queues(), " queues: use at most ",
                                                   kMaxQueues, ", or 0 for a default"));
  }
  if (request.queue_depth() > kMaxQueueDepth) {
    return absl::InvalidArgumentError(absl::StrCat("queue depth of ", request.queue_depth(),
                                                   ": use at most ", kMaxQueueDepth,
                                                   ", or 0 for a default"));
  }
  AttachmentRecord record;
  ASSIGN_OR_RETURN(record.transport, Resolve(request.transport(), transports));
  record.read_only = request.read_only();
  record.queues =
      request.queues() != 0 ? request.queues() : std::clamp(cpus, uint32_t{1}, kDefaultQueuesMax);
  record.queue_depth = request.queue_depth() != 0 ? request.queue_depth() : kDefaultQueueDepth;
  return record;
}

std::string Difference(const AttachmentRecord& existing,
                       const diskd::v1::AttachVolumeRequest& request) {
  std::string difference;
  if (request.transport() != diskd::v1::TRANSPORT_UNSPECIFIED) {
    Compare("transport", ShortName(existing.transport), ShortName(request.transport()), difference);
  }
  Compare("read-only", absl::StrCat(existing.read_only ? "yes" : "no"),
          absl::StrCat(request.read_only() ? "yes" : "no"), difference);
  if (request.queues() != 0) {
    Compare("number of queues", existing.queues, request.queues(), difference);
  }
  if (request.queue_depth() != 0) {
    Compare("queue depth", existing.queue_depth, request.queue_depth(), difference);
  }
  return difference;
}

}  // namespace diskd::agent
