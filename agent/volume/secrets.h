// SPDX-License-Identifier: Apache-2.0
//
// What callers have given for volumes and nobody else may know. In a directory below the run
// directory, which is memory (tmpfs) where it belongs: the next agent finds it, the next boot does
// not, and the database never sees it. Thread-safe.
#ifndef DISKD_AGENT_VOLUME_SECRETS_H_
#define DISKD_AGENT_VOLUME_SECRETS_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/map.h"
#include "proto/diskd/v1/types.pb.h"

namespace diskd::agent {

using SecretMap = google::protobuf::Map<std::string, std::string>;

// With the rest of a request they have to fit into one packet to the driver.
inline constexpr size_t kMaxSecretBytes = 16 << 10;

// INVALID_ARGUMENT: too much, or the driver takes no secret of that name. Names no value.
absl::Status CheckSecrets(const SecretMap& secrets, const diskd::v1::DriverInfo& driver);

class Secrets {
 public:
  explicit Secrets(std::string directory) : directory_(std::move(directory)) {}

  // Replaces what there was; empty: removes it.
  absl::Status Put(const std::string& volume_id, const SecretMap& secrets)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Empty: none were given since the machine started.
  SecretMap Get(const std::string& volume_id) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::string& volume_id) ABSL_LOCKS_EXCLUDED(mutex_);
  // The volumes that have some. Also removes what a write that was cut off has left.
  std::vector<std::string> List() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::string PathOf(const std::string& volume_id) const { return directory_ + "/" + volume_id; }

  const std::string directory_;
  absl::Mutex mutex_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_SECRETS_H_
