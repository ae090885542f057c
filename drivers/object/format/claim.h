// SPDX-License-Identifier: Apache-2.0
//
// What a volume with fencing=lease has beside its HEADs: the claim, which says whose it is, and the
// beat of each owner (docs/object-format.md, "Claim"). Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_CLAIM_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_CLAIM_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/types.h"

namespace diskd::object {

// Whose names they are; the nonce alone tells owners apart. Zero: of the volume's creation, which
// nobody goes on with.
struct Owner {
  uint64_t epoch = 0;
  uint64_t nonce = 0;
  bool operator==(const Owner&) const = default;
};

// All who want a volume have to agree on them, so they are stored with it.
struct LeaseTimes {
  uint32_t lease_ms = 60'000;
  uint32_t late_ms = 60'000;  // in which a request is applied, or never
  bool operator==(const LeaseTimes&) const = default;
};

inline constexpr uint32_t kMinLeaseMs = 1000;
inline constexpr uint32_t kMaxLeaseMs = 3'600'000;

struct Claim {
  Uuid volume;
  Owner owner;
  // Where the HEAD is that counts until the owner has one: `previous`, or `base` if that one has
  // none either.
  Owner previous;
  Owner base;
  LeaseTimes times;
  bool operator==(const Claim&) const = default;
};

struct Beat {
  Uuid volume;
  Owner owner;
  bool released = false;  // the owner has stopped for good, and nothing of it is under way
  uint64_t counter = 0;
  bool operator==(const Beat&) const = default;
};

std::string ClaimName(const Uuid& volume);
std::string BeatName(const Uuid& volume, const Owner& owner);
std::string OwnedHeadName(const Uuid& volume, const Owner& owner);
// One of these three, of whatever volume.
bool IsLeaseName(absl::string_view name);
// The volume, if it is the name of a HEAD with fencing=cas.
std::optional<Uuid> VolumeOfHead(absl::string_view name);

std::string EncodeClaim(const Claim& claim);
absl::StatusOr<Claim> ParseClaim(absl::string_view data);
std::string EncodeBeat(const Beat& beat);
absl::StatusOr<Beat> ParseBeat(absl::string_view data);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_CLAIM_H_
