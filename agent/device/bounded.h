// SPDX-License-Identifier: Apache-2.0
#ifndef DISKD_AGENT_DEVICE_BOUNDED_H_
#define DISKD_AGENT_DEVICE_BOUNDED_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace diskd::agent {

// Runs `body`, which may wait for a driver that does not answer, in a thread of its own. At the
// limit `unblock` is called, which must make the body return; then DEADLINE_EXCEEDED, even when
// the body succeeded after all.
absl::Status RunBounded(absl::Duration limit, const std::function<absl::Status()>& body,
                        const std::function<void()>& unblock);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_BOUNDED_H_
