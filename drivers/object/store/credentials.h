// SPDX-License-Identifier: Apache-2.0
//
// Where an S3 store's keys come from. Nothing here prints a secret: error messages name the place,
// never the content.
#ifndef DISKD_DRIVERS_OBJECT_STORE_CREDENTIALS_H_
#define DISKD_DRIVERS_OBJECT_STORE_CREDENTIALS_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace diskd::object {

struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // empty unless the keys are temporary

  bool operator==(const Credentials&) const = default;
};

// The current keys of one store. Thread-safe.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;

  // Short and without network I/O: it is called for every request. FAILED_PRECONDITION or
  // NOT_FOUND say what is missing and where to put it.
  virtual absl::StatusOr<Credentials> Get() = 0;

  // The store refused the keys: read them again where that can help.
  virtual void Refresh() {}
};

// Keys that came with the request.
std::unique_ptr<CredentialSource> FixedCredentials(Credentials credentials);

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN of this process.
std::unique_ptr<CredentialSource> EnvironmentCredentials();

// A file in the format of ~/.aws/credentials, of which `profile` counts; a file without sections
// works too. Read again at Refresh(), so a rotated key takes effect without a restart, unless the
// process has become a user who may not read it; then the keys stay.
std::unique_ptr<CredentialSource> FileCredentials(std::string path,
                                                  std::string profile = "default");

// Parses such a file. `place` is for messages.
absl::StatusOr<Credentials> ParseCredentials(absl::string_view text, absl::string_view profile,
                                             absl::string_view place);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_CREDENTIALS_H_
