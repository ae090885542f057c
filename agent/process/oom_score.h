// SPDX-License-Identifier: Apache-2.0
#ifndef DISKD_AGENT_PROCESS_OOM_SCORE_H_
#define DISKD_AGENT_PROCESS_OOM_SCORE_H_

#include <sys/types.h>

#include "absl/status/status.h"

namespace diskd::agent {

// Sets how gladly the kernel kills process `pid` when memory runs out: from -1000, never, to 1000.
// Processes it starts later begin with the same. Going down needs CAP_SYS_RESOURCE:
// PERMISSION_DENIED without it. NOT_FOUND: there is no such process.
absl::Status SetOomScore(pid_t pid, int adjustment);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_PROCESS_OOM_SCORE_H_
