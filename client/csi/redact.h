// SPDX-License-Identifier: Apache-2.0
//
// What of a message may be logged. Thread-safe.
#ifndef DISKD_CLIENT_CSI_REDACT_H_
#define DISKD_CLIENT_CSI_REDACT_H_

#include <google/protobuf/message.h>

#include <string>

namespace diskd::csi {

// One line: the message without unknown fields, and with "***" for the values of every field
// marked csi_secret and of mount_flags.
std::string RedactedText(const google::protobuf::Message& message);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_REDACT_H_
