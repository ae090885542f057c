// SPDX-License-Identifier: Apache-2.0
//
// From a volume's parameters to its Store.
#ifndef DISKD_DRIVERS_OBJECT_STORE_OPEN_STORE_H_
#define DISKD_DRIVERS_OBJECT_STORE_OPEN_STORE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/env/store.h"
#include "drivers/object/store/credentials.h"
#include "drivers/object/store/s3_store.h"

namespace diskd::object {

struct StoreParameters {
  std::string url;         // "dir:/path" or "s3://bucket[/prefix]"
  bool create = false;     // dir: make the store where there is none
  std::string endpoint;    // the rest is for s3:, as in S3Options
  std::string region;      // empty: AWS_REGION of the environment, else us-east-1
  std::string addressing;  // "", "auto", "path", "virtual"
  std::string ca_file;
  // Keys: these, else the file, else the environment.
  std::optional<Credentials> credentials;
  std::string credentials_file;
  std::shared_ptr<const SendGate> gate;  // as in S3Options and DirOptions
  absl::Duration idle_timeout = kIdleTimeout;
};

// INVALID_ARGUMENT says which parameter is wrong. s3: sends nothing yet.
absl::StatusOr<std::unique_ptr<Store>> OpenStore(const StoreParameters& parameters);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_OPEN_STORE_H_
