// SPDX-License-Identifier: Apache-2.0
//
// diskctl's exit codes, which scripts rely on: never renumber one.
#ifndef DISKD_CLIENT_DISKCTL_EXIT_CODE_H_
#define DISKD_CLIENT_DISKCTL_EXIT_CODE_H_

#include "absl/status/status.h"

namespace diskd::diskctl {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,        // a fault of the agent or of diskctl
  kExitUsage = 2,          // command line, or a value the agent refuses
  kExitNotFound = 3,       // volume, backing directory
  kExitAlreadyExists = 4,  // with other properties
  kExitInUse = 5,          // state forbids it: attached, open, mounted, busy, nothing usable
  kExitUnreachable = 6,    // no agent at the socket
  kExitTimeout = 7,        // --timeout is over; the agent may go on
  kExitNoSpace = 8,        // space or another limited resource
  kExitPermission = 9,
  kExitDriver = 10,  // the agent is there, the driver process fails
};

// Listed by --help.
inline constexpr char kExitCodeText[] =
    "Exit codes: 0 ok, 1 internal failure, 2 usage or refused value, 3 not found, 4 already exists "
    "with other properties, 5 in use, busy or not possible now, 6 agent not reachable, 7 timeout, "
    "8 no space, 9 no permission, 10 driver process fails.";

ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_EXIT_CODE_H_
