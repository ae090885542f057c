// SPDX-License-Identifier: Apache-2.0
//
// The agent put together from its parts.
#ifndef DISKD_AGENT_AGENT_H_
#define DISKD_AGENT_AGENT_H_

#include "absl/status/status.h"
#include "agent/options.h"

namespace diskd::agent {

// Takes over what the last agent left, serves until SIGTERM or SIGINT, and leaves driver
// processes and devices running. Error: it could not start; nothing was changed.
absl::Status RunAgent(const Options& options);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_AGENT_H_
