// SPDX-License-Identifier: Apache-2.0
//
// Volumes shown as block devices: attach, detach, and taking over after a restart of the agent.
// Thread-safe.
#ifndef DISKD_AGENT_VOLUME_ATTACHMENTS_H_
#define DISKD_AGENT_VOLUME_ATTACHMENTS_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "agent/volume/environment.h"
#include "proto/diskd/v1/diskd.pb.h"

namespace diskd::agent {

class Attachments {
 public:
  explicit Attachments(const Environment& environment) : environment_(environment) {}
  // Driver processes and devices stay as they are, for the next agent.
  ~Attachments() = default;

  // Errors: proto/diskd/v1/diskd.proto. After an error nothing is left of the attempt.
  absl::StatusOr<diskd::v1::Attachment> Attach(const diskd::v1::AttachVolumeRequest& request);
  absl::Status Detach(const diskd::v1::DetachVolumeRequest& request);
  // Puts a new process of the installed driver in the place of the present one, under I/O.
  absl::StatusOr<diskd::v1::UpgradeDriverResponse> UpgradeDriver(
      const diskd::v1::UpgradeDriverRequest& request);
  // Runs `body` with the process that serves the volume. FAILED_PRECONDITION: none serves it, nor
  // will one by itself. UNAVAILABLE: not at the moment. The caller has the volume's lock, or does
  // not mind that it is detached meanwhile.
  absl::Status UseServing(const VolumeRecord& volume,
                          const std::function<absl::Status(DriverProcess&)>& body);
  // An attached volume, whose driver has more than it shows and whose record says so, becomes
  // larger for its users too: a new driver process takes over with the new size. The caller has the
  // lock.
  absl::Status ShowNewSize(const VolumeRecord& volume);
  // Not attached: nothing.
  absl::StatusOr<std::optional<diskd::v1::Attachment>> Describe(const VolumeRecord& volume);
  absl::StatusOr<std::vector<diskd::v1::Attachment>> List();

  // At the agent's start, before any other call: takes running devices over, ends what was begun,
  // removes what belongs to nobody. Errors of single volumes are logged and in their state.
  absl::Status Restore();

  // At the agent's end, after any other call: waits, with a limit, until every disk has a driver
  // process. A FUSE connection that nobody holds would end with the agent.
  void Settle();

 private:
  // A device with its driver process.
  struct Live {
    std::unique_ptr<Device> device;
    std::unique_ptr<Supervisor> supervisor;  // after device: goes first
  };
  // What exists of an attachment that is being made or taken down; members may be null.
  struct Parts {
    std::unique_ptr<Device> device;
    std::unique_ptr<DriverProcess> process;
  };

  // attachments.cc
  absl::Status Build(const VolumeRecord& volume, AttachmentRecord& record, Parts& parts);
  void Supervise(const VolumeRecord& volume, const AttachmentRecord& record, Parts parts);
  void Fail(const VolumeRecord& volume, AttachmentRecord record, const std::string& reason);
  absl::Status CheckDisk(const VolumeRecord& volume, const AttachmentRecord& record);
  std::shared_ptr<Live> FindLive(const std::string& volume_id);
  diskd::v1::Attachment Show(const VolumeRecord& volume, const AttachmentRecord& record);

  // detach.cc
  absl::Status DetachLive(const VolumeRecord& volume, AttachmentRecord record, Live& live,
                          bool force);
  // Finds what is left by the kernel's account and removes it.
  absl::Status RemoveRemains(const VolumeRecord& volume, AttachmentRecord record);
  // Ends the process, destroys the device, forgets the attachment.
  absl::Status TakeDown(const VolumeRecord& volume, AttachmentRecord record, Parts parts,
                        bool force);
  absl::Status Dismantle(const VolumeRecord& volume, Parts& parts, bool force);

  // upgrade.cc
  // `process`: the present one, then the one that serves, nullptr if none does. OK: replaced.
  absl::Status Swap(const VolumeRecord& volume, const AttachmentRecord& record, Device& device,
                    std::unique_ptr<DriverProcess>& process);
  absl::Status Prepare(const VolumeRecord& volume, const AttachmentRecord& record, Device& device,
                       DriverProcess& present, DriverProcess& successor);

  // restore.cc
  void RestoreOne(const VolumeRecord& volume, AttachmentRecord record);
  absl::Status Adopt(const VolumeRecord& volume, AttachmentRecord& record);
  // Which of the volume's processes serves it; the others are ended. FUSE: `device` holds the
  // connection afterwards. nullptr: none serves, but one can be started.
  absl::StatusOr<std::unique_ptr<DriverProcess>> AdoptProcess(const VolumeRecord& volume,
                                                              const AttachmentRecord& record,
                                                              Device& device);
  void RemoveOrphans();

  const Environment environment_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Live>> live_ ABSL_GUARDED_BY(mutex_);  // by volume id
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_ATTACHMENTS_H_
