// SPDX-License-Identifier: Apache-2.0
//
// What an S3 server's answers mean, in the statuses of env/store.h. Pure functions.
#ifndef DISKD_DRIVERS_OBJECT_STORE_S3_ANSWER_H_
#define DISKD_DRIVERS_OBJECT_STORE_S3_ANSWER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "drivers/object/env/store.h"
#include "drivers/object/store/http_client.h"

namespace diskd::object {

inline constexpr absl::Duration kRetryAfterMax = absl::Minutes(2);

// The status of an answer that is not a success. `what` names the request. Not for a HEAD's 4xx,
// which comes without the code that would tell a missing object from a missing bucket.
absl::Status StatusOfAnswer(const HttpAnswer& answer, absl::string_view what);

// The entity tag without its quotes; DATA_LOSS without one.
absl::StatusOr<std::string> EtagOf(const HttpAnswer& answer, absl::string_view what);

// Of a successful HEAD; DATA_LOSS where a header is missing.
absl::StatusOr<HeadResult> SizeAndEtagOf(const HttpAnswer& answer, absl::string_view what);

// Of any answer to a GET, also where the server ignored the range or sent another one.
absl::StatusOr<GetResult> ReadAnswer(HttpAnswer answer, const std::optional<ByteRange>& range,
                                     absl::string_view what);

struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t total = 0;
};
// "bytes 0-9/443"; nullopt for anything else.
std::optional<ContentRange> ParseContentRange(absl::string_view value);

// How far the server's clock is ahead of `now`, from an answer that says that ours is wrong.
std::optional<absl::Duration> ClockSkew(const HttpAnswer& answer, absl::Time now);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_S3_ANSWER_H_
