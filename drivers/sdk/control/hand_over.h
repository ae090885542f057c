// SPDX-License-Identifier: Apache-2.0
//
// What the process that serves a disk and its successor say to each other, over a socket pair that
// the agent gave them. One word each way: the first has let go; the second serves, or says why not.
// A process that dies closes its end, which is an answer too.
#ifndef DISKD_DRIVERS_SDK_CONTROL_HAND_OVER_H_
#define DISKD_DRIVERS_SDK_CONTROL_HAND_OVER_H_

#include "absl/status/status.h"

namespace diskd::sdk {

// The present server: it has let go. Returns what became of the successor. OK: it serves.
// UNAVAILABLE: it has ended, maybe after it began to serve. Other errors: its own; it did not
// begin.
absl::Status OfferDisk(int socket);

// The successor: waits for the offer. UNAVAILABLE: there will be none.
absl::Status AwaitOffer(int socket);
void AnswerOffer(int socket, const absl::Status& taken);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_CONTROL_HAND_OVER_H_
