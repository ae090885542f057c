// SPDX-License-Identifier: Apache-2.0
//
// Disks of a kernel module that was loaded before an upgrade of the package. Any thread.
#ifndef DISKD_AGENT_DEVICE_OLDER_MODULE_H_
#define DISKD_AGENT_DEVICE_OLDER_MODULE_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kernel/uapi/buse.h"

namespace diskd::agent {

// Creates the disk, and where the module refuses the parameters and may do so for an attribute that
// it does not know and the disk can do without, creates it without that. `info`: for `create` to
// fill; each attempt begins with what it was.
absl::Status CreateOnAnyModule(buse_info& info, absl::FunctionRef<absl::Status(buse_info&)> create);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_OLDER_MODULE_H_
