// SPDX-License-Identifier: Apache-2.0
//
// A store of named objects, as the engine sees it: a directory (`dir:`), an S3-compatible service
// (`s3:`), or the simulated one of the tests.
//
// One call is one attempt. Retries and their back-off are the engine's, because only it knows what
// an ambiguous outcome means; an implementation repeats nothing by itself except to renew
// credentials once.
//
// Threads: a call may come from any thread. `done` runs exactly once, on any thread, never inside
// the call that started it. It must return soon; it may start other calls. An implementation bounds
// each attempt by a time-out of its own (a named constant), so `done` always comes. The destructor
// waits until every `done` has returned.
//
// What a status of a call says, for every implementation:
//   OK                   it happened. After Put the object is durable, and every later Get, from
//                        anywhere, sees it.
//   NOT_FOUND            the store says that there is no such object (404). Nothing else, above
//                        all no failure to reach the store, may be reported like this.
//   FAILED_PRECONDITION  the condition of a Put did not hold (412); this attempt changed nothing.
//   ABORTED              a conflicting request was under way (409); changed nothing, try again.
//   PERMISSION_DENIED    401 or 403 after renewing credentials; changed nothing. Passes, perhaps.
//   UNIMPLEMENTED        the store can't do it (501: conditions); changed nothing.
//   INVALID_ARGUMENT     the request is wrong (other 4xx with S3's code, 301 PermanentRedirect,
//                        impossible name or range): a defect.
//   RESOURCE_EXHAUSTED   the store is full or over its quota; changed nothing.
//   DATA_LOSS            the reply was cut off or fails a checksum of the transport. Try again.
//   UNAVAILABLE          throttled (429, 503), 5xx, connection refused or broken; other redirects
//                        and what a proxy answers in the store's place (4xx without S3's code).
//   UNKNOWN              of a Get: the store works and has the object, but its medium can't read
//                        it.
//   DEADLINE_EXCEEDED    the attempt timed out.
// After UNAVAILABLE, DATA_LOSS and DEADLINE_EXCEEDED a Put or Delete MAY HAVE BEEN APPLIED, OR MAY
// BE APPLIED LATER, even after a retry has succeeded or another process has written the object.
// Retry-After, where the store gives it, is the payload kRetryAfterPayload, decimal milliseconds.
#ifndef DISKD_DRIVERS_OBJECT_ENV_STORE_H_
#define DISKD_DRIVERS_OBJECT_ENV_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diskd::object {

// Whether a Put or Delete that has ended so may be applied later.
inline bool MayLand(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kResourceExhausted:
      return false;
    default:
      return true;
  }
}

inline constexpr char kRetryAfterPayload[] = "diskd.object/retry-after-ms";

// What a call is for. Implementations give each lane connections of its own, so that a guest's read
// never waits behind uploads or garbage collection; nor what keeps a lease behind reads that hang.
enum class Lane : uint8_t { kRead, kUpload, kCollect, kLease };
inline constexpr int kLanes = 4;

// Opaque, not empty, and different for different content of one name, forever: HEADs differ in
// each generation, so an implementation may hash the content. Compared for equality only.
using Etag = std::string;

struct PutCondition {
  enum class Kind : uint8_t {
    kNone,      // replace or create
    kIfAbsent,  // create; FAILED_PRECONDITION if it exists
    kIfMatch,   // replace the object with this etag; FAILED_PRECONDITION if it has another one or
                // does not exist
  };
  Kind kind = Kind::kNone;
  Etag etag;  // kIfMatch

  static PutCondition None() { return {}; }
  static PutCondition IfAbsent() { return {Kind::kIfAbsent, {}}; }
  static PutCondition IfMatch(Etag etag) { return {Kind::kIfMatch, std::move(etag)}; }
};

// Bytes [offset, offset + length) of an object; what lies behind its end is not returned. A range
// that begins at or behind the end gives an empty body and OK.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;  // > 0
};

struct GetResult {
  Etag etag;
  uint64_t object_bytes = 0;  // of the whole object
  std::string body;
};

struct HeadResult {
  Etag etag;
  uint64_t object_bytes = 0;
};

struct ListEntry {
  std::string name;
  uint64_t object_bytes = 0;
};

struct ListResult {
  std::vector<ListEntry> entries;  // ascending by bytes of the name
  bool more = false;               // go on with `after` = the last name
};

class Store {
 public:
  using PutDone = std::function<void(absl::StatusOr<Etag>)>;
  using GetDone = std::function<void(absl::StatusOr<GetResult>)>;
  using HeadDone = std::function<void(absl::StatusOr<HeadResult>)>;
  using ListDone = std::function<void(absl::StatusOr<ListResult>)>;
  using DeleteDone = std::function<void(absl::Status)>;

  virtual ~Store() = default;

  // Names are relative to the store: [0-9a-z/._-]+, at most kMaxNameBytes, no empty, "." or ".."
  // component, never ending in ".tmp".
  // A Put is atomic: nobody ever sees a part of `body`. The body is shared, not copied.
  virtual void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
                   PutCondition condition, PutDone done) = 0;
  // nullopt: all of it.
  virtual void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
                   GetDone done) = 0;
  virtual void Head(Lane lane, const std::string& name, HeadDone done) = 0;
  // Names that begin with `prefix` and are greater than `after` ("": from the first), the smallest
  // ones, in pages of the implementation's size. May be stale: an object created or deleted a
  // short while ago can be missing or still there.
  virtual void List(Lane lane, const std::string& prefix, const std::string& after,
                    ListDone done) = 0;
  // Deleting what is not there is OK.
  virtual void Delete(Lane lane, const std::string& name, DeleteDone done) = 0;
};

inline constexpr size_t kMaxNameBytes = 512;

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENV_STORE_H_
