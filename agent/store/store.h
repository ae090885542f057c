// SPDX-License-Identifier: Apache-2.0
//
// What the agent remembers: volumes and attachments. The state of a record is the intent: a
// record in CREATING, DELETING, ATTACHING or DETACHING names an operation that was begun, and
// what the next agent has to finish or to undo.
//
// Thread-safe. Each call is one transaction, durable when it returns.
#ifndef DISKD_AGENT_STORE_STORE_H_
#define DISKD_AGENT_STORE_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/diskd/v1/types.pb.h"

namespace diskd::agent {

// The member `attachment` is not stored.
using VolumeRecord = diskd::v1::Volume;

struct AttachmentRecord {
  std::string volume_id;
  diskd::v1::Transport transport = diskd::v1::TRANSPORT_UNSPECIFIED;
  bool read_only = false;
  uint32_t queues = 0;
  uint32_t queue_depth = 0;
  // ATTACHING, ATTACHED, FAILED or DETACHING; RECOVERING is not stored.
  diskd::v1::AttachmentState state = diskd::v1::ATTACHMENT_STATE_UNSPECIFIED;
  bool force = false;                  // DETACHING: openers don't matter
  int device_number = -1;              // -1: the disk doesn't exist yet
  bool survives_driver_death = false;  // of the device
  std::string boot_id;                 // attachments end with the boot of the machine
  std::string message;
  absl::Time attach_time;
};

class Store {
 public:
  virtual ~Store() = default;

  // Inserts or replaces. ALREADY_EXISTS: another volume has the name.
  virtual absl::Status PutVolume(const VolumeRecord& volume) = 0;
  virtual absl::Status RemoveVolume(const std::string& id) = 0;  // not there: OK
  // By id or name.
  virtual absl::StatusOr<std::optional<VolumeRecord>> FindVolume(const std::string& key) = 0;
  // In order of id, those with id > `after`, at most `limit`.
  virtual absl::StatusOr<std::vector<VolumeRecord>> ListVolumes(const std::string& after,
                                                                int limit) = 0;
  virtual absl::StatusOr<int> CountVolumes() = 0;

  virtual absl::Status PutAttachment(const AttachmentRecord& attachment) = 0;
  virtual absl::Status RemoveAttachment(const std::string& volume_id) = 0;  // not there: OK
  virtual absl::StatusOr<std::optional<AttachmentRecord>> FindAttachment(
      const std::string& volume_id) = 0;
  virtual absl::StatusOr<std::vector<AttachmentRecord>> ListAttachments() = 0;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_STORE_STORE_H_
