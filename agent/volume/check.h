// SPDX-License-Identifier: Apache-2.0
//
// Requests against the rules. Pure functions; every message says what to change.
#ifndef DISKD_AGENT_VOLUME_CHECK_H_
#define DISKD_AGENT_VOLUME_CHECK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/store/store.h"
#include "proto/diskd/v1/diskd.pb.h"

namespace diskd::agent {

inline constexpr uint64_t kMinVolumeBytes = uint64_t{1} << 20;  // 1 MiB
inline constexpr uint64_t kMaxVolumeBytes = uint64_t{1} << 50;  // 1 PiB
inline constexpr uint32_t kDefaultBlockBytes = 512;
inline constexpr uint32_t kMaxQueues = 64;
inline constexpr uint32_t kDefaultQueuesMax = 4;
inline constexpr uint32_t kMaxQueueDepth = 1024;
inline constexpr uint32_t kDefaultQueueDepth = 128;

// Names and values together: with the rest of a request, and those of a clone's source, they have
// to fit into one packet to the driver.
inline constexpr size_t kMaxParameterBytes = 16 << 10;

// The volume asked for, without id, state and time. INVALID_ARGUMENT.
absl::StatusOr<VolumeRecord> CheckCreate(const diskd::v1::CreateVolumeRequest& request,
                                         const std::vector<diskd::v1::DriverInfo>& drivers);

// INVALID_ARGUMENT: no volume with such blocks may have this size.
absl::Status CheckSize(uint64_t size, uint32_t block);

// What of `wanted` differs from the existing volume: "size is 1048576, not 2097152". Empty: equal.
std::string Difference(const VolumeRecord& existing, const VolumeRecord& wanted);

// The attachment asked for, with the defaults of a machine with `cpus`. The transport is resolved
// (FAILED_PRECONDITION: not available, and why). INVALID_ARGUMENT: queues.
absl::StatusOr<AttachmentRecord> CheckAttach(
    const diskd::v1::AttachVolumeRequest& request,
    const std::vector<diskd::v1::TransportInfo>& transports, uint32_t cpus);

// What the request asks for and the attachment does not have; unset fields match anything.
std::string Difference(const AttachmentRecord& existing,
                       const diskd::v1::AttachVolumeRequest& request);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_CHECK_H_
