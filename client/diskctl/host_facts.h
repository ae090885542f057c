// SPDX-License-Identifier: Apache-2.0
//
// What diskctl can see of this machine by itself, with or without an agent.
#ifndef DISKD_CLIENT_DISKCTL_HOST_FACTS_H_
#define DISKD_CLIENT_DISKCTL_HOST_FACTS_H_

#include <string>

#include "absl/status/status.h"

namespace diskd::diskctl {

struct HostFacts {
  bool root = false;
  std::string kernel_release;
  absl::Status socket;      // a connection to the agent's socket
  absl::Status fuse;        // opening /dev/fuse
  absl::Status loop;        // opening /dev/loop-control
  absl::Status buse;        // presence of /dev/buse-control; NOT_FOUND: the module isn't loaded
  std::string module_file;  // buse.ko for this kernel; empty: not installed
};

// Takes a few milliseconds; changes nothing.
HostFacts ReadHostFacts(const std::string& socket_path);

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_HOST_FACTS_H_
