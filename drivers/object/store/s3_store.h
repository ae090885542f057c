// SPDX-License-Identifier: Apache-2.0
//
// A bucket of an S3-compatible service, or the part of it below a prefix, as a Store.
#ifndef DISKD_DRIVERS_OBJECT_STORE_S3_STORE_H_
#define DISKD_DRIVERS_OBJECT_STORE_S3_STORE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "drivers/object/env/store.h"
#include "drivers/object/store/credentials.h"
#include "drivers/object/store/s3_options.h"

namespace diskd::object {

// Checks the options and the presence of credentials; sends nothing. INVALID_ARGUMENT says which
// option is wrong.
absl::StatusOr<std::unique_ptr<Store>> OpenS3Store(const S3Options& options,
                                                   std::unique_ptr<CredentialSource> credentials);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_S3_STORE_H_
