// SPDX-License-Identifier: Apache-2.0
//
// The server's side of Signature Version 4, stricter than any real server. Written apart from the
// client's signer, from the raw request, so that a mistake in one shows.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_SIGNATURE_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_SIGNATURE_H_

#include <string>

#include "absl/time/time.h"
#include "drivers/object/store/credentials.h"
#include "drivers/object/store/testing/http_server.h"

namespace diskd::object {

// Empty if the signature is right, else the S3 error code; `why` says more.
std::string CheckSignature(const ServerRequest& request, const Credentials& expected,
                           const std::string& region, absl::Time now, std::string* why);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_SIGNATURE_H_
