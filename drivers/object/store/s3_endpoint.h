// SPDX-License-Identifier: Apache-2.0
//
// Where the requests for one bucket go. Pure functions.
#ifndef DISKD_DRIVERS_OBJECT_STORE_S3_ENDPOINT_H_
#define DISKD_DRIVERS_OBJECT_STORE_S3_ENDPOINT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/store/s3_options.h"

namespace diskd::object {

struct S3Endpoint {
  bool tls = true;
  std::string host;       // value of the Host header: with the port unless it is the default
  std::string base_path;  // "" or "/bucket"
};

// INVALID_ARGUMENT says which option is wrong.
absl::StatusOr<S3Endpoint> ResolveEndpoint(const S3Options& options);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_S3_ENDPOINT_H_
