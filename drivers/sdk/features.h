// SPDX-License-Identifier: Apache-2.0
//
// What a driver can do with a volume beside its I/O. A driver overrides what it has; the rest is
// refused, in its name, with UNIMPLEMENTED.
//
// Threads: one at a time, the control thread; queues serve meanwhile. It answers nobody else during
// a call, so a call that can't end soon has to end with an error (kFeatureLimit) and may go on
// behind the scenes: it will be repeated, and the same call again has the same result.
#ifndef DISKD_DRIVERS_SDK_FEATURES_H_
#define DISKD_DRIVERS_SDK_FEATURES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace diskd::sdk {

// How long a call may take, opening and closing of a volume at rest not counted.
inline constexpr absl::Duration kFeatureLimit = absl::Seconds(40);

struct Snapshot {
  uint64_t id = 0;  // ascending in the order of creation, never used again
  std::string name;
  uint64_t size_bytes = 0;
};

struct CreatedSnapshot {
  Snapshot snapshot;
  bool existed = false;  // it was there before
};

struct Statistic {
  std::string name;  // words joined by "_"
  double value = 0;
  std::string unit;  // "bytes", "seconds", "ratio"; empty: a number of things
};

struct Extent {
  uint64_t offset = 0;  // bytes
  uint64_t length = 0;
  bool zero = false;  // reads as zeros now
};

struct DiffPage {
  std::vector<Extent> extents;  // ascending, disjoint
  uint64_t next = 0;            // everything before this is told; the size: that was all
  uint64_t size_bytes = 0;      // of the newer snapshot
};

struct CheckReport {
  std::vector<Statistic> counts;      // what was looked at
  std::vector<std::string> problems;  // the first ones
  bool more_problems = false;
};

class VolumeFeatures {
 public:
  virtual ~VolumeFeatures() = default;

  // A state of the disk between the call and its return, which contains everything that was
  // answered before. Durable.
  virtual absl::StatusOr<CreatedSnapshot> CreateSnapshot(const std::string& name) {
    return absl::UnimplementedError("");
  }
  // In the order of creation.
  virtual absl::StatusOr<std::vector<Snapshot>> ListSnapshots() {
    return absl::UnimplementedError("");
  }
  virtual absl::Status DeleteSnapshot(const std::string& name) {  // missing is success
    return absl::UnimplementedError("");
  }
  // Makes the disk what the snapshot is, and returns its size; only of a volume at rest. NOT_FOUND:
  // no such snapshot.
  virtual absl::StatusOr<uint64_t> RollBack(const std::string& snapshot) {
    return absl::UnimplementedError("");
  }
  // At rest: shrinking cuts off the end. While it serves: only growing; this process goes on with
  // the size it was opened with, until another one takes over.
  virtual absl::Status Resize(uint64_t size_bytes) { return absl::UnimplementedError(""); }
  virtual absl::StatusOr<std::vector<Statistic>> Statistics() {
    return absl::UnimplementedError("");
  }

  // These only look, and are asked at rest alone; then another process may serve the volume.
  //
  // What `to` has changed since `from` ("": all that has data), beginning at `begin`, at most
  // `max_extents`. NOT_FOUND: no such snapshot.
  virtual absl::StatusOr<DiffPage> Diff(const std::string& from, const std::string& to,
                                        uint64_t begin, size_t max_extents) {
    return absl::UnimplementedError("");
  }
  // Reads everything the backing store has of the volume and its snapshots; as long as it takes.
  virtual absl::StatusOr<CheckReport> Check() { return absl::UnimplementedError(""); }
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_FEATURES_H_
