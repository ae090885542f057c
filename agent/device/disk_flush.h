// SPDX-License-Identifier: Apache-2.0
#ifndef DISKD_AGENT_DEVICE_DISK_FLUSH_H_
#define DISKD_AGENT_DEVICE_DISK_FLUSH_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace diskd::agent {

// Everything acknowledged to users of the disk becomes durable. Waits for the driver.
absl::Status FlushDisk(const std::string& path);

// A flush that may take longer than its caller waits. What is not durable yet must not be lost to
// a time-out, so the flush goes on in the background. The next caller waits for it, because two at
// once would only slow each other down, and then flushes what was written since it began.
// Calls come from one thread at a time. The destructor does not wait.
class DiskFlush {
 public:
  // `flush` may outlive this object.
  explicit DiskFlush(std::function<absl::Status()> flush);

  // OK: a flush that began after this call is done. UNAVAILABLE: not finished within the limit;
  // call again.
  absl::Status Wait(absl::Duration limit);

 private:
  struct Running;

  const std::function<absl::Status()> flush_;
  std::shared_ptr<Running> running_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_DISK_FLUSH_H_
