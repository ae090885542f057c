// SPDX-License-Identifier: Apache-2.0
//
// What the S3 double is to do wrong, to which requests, how often.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_FAULT_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_FAULT_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace diskd::object {

struct S3Fault {
  enum class Action : uint8_t {
    kStatus,        // answer `status`/`code`, do nothing
    kStatusAfter,   // do it, then answer `status`/`code`
    kResetBefore,   // reset the connection, do nothing
    kResetAfter,    // do it, then reset the connection
    kSilentAfter,   // do it, never answer
    kLateApply,     // reset the connection; do it after `delay`, or at S3Double::ApplyLate()
    kDelay,         // answer after `delay`
    kSlowBody,      // header at once, body after `delay`
    kCutBody,       // half of the body, then close
    kFlipBit,       // one bit of the body wrong
    kClose,         // answer, then close although the client may go on
    kWrongEtag,     // another ETag than the object's
    kStaleList,     // the list as it was when the fault began
    kOmitFromList,  // the list without the keys that contain `key`
    kEmptyPage,     // a list page without keys that says there is more
  };
  Action action = Action::kStatus;
  std::string method;  // GET HEAD PUT DELETE LIST; empty: any
  std::string key;     // part of the key; empty: any
  int skip = 0;        // matching requests that pass first
  int count = 1;       // requests it hits; -1: until cleared
  int status = 503;
  std::string code = "SlowDown";  // empty: a page of HTML, as proxies send
  int retry_after_seconds = 0;
  absl::Duration delay = absl::ZeroDuration();  // kLateApply: infinite by default in ParseS3Fault
  std::map<std::string, uint64_t> list;         // kStaleList: filled by the double
};

// "action=status status=503 code=SlowDown method=PUT key=head count=5 skip=1 delay_ms=20
// retry_after=1"; every word but `action` may be left out, and a code be empty ("code=").
absl::StatusOr<S3Fault> ParseS3Fault(absl::string_view text);
// As it is written there.
absl::string_view S3FaultName(S3Fault::Action action);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_FAULT_H_
