// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/claim.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "drivers/object/format/bytes.h"
#include "drivers/object/format/crc32c.h"
#include "drivers/object/format/object.h"

namespace diskd::object {
namespace {

constexpr uint32_t kClaimMagic = 0x4c434b44;  // "DKCL"
constexpr uint32_t kBeatMagic = 0x54424b44;   // "DKBT"
constexpr uint16_t kVersion = 1;
constexpr size_t kCrcAt = 8;
constexpr size_t kClaimBytes = 88;
constexpr size_t kBeatBytes = 56;

void Begin(ByteWriter& out, uint32_t magic, uint8_t state, const Uuid& volume, const Owner& owner) {
  out.U32(magic);
  out.U16(kVersion);
  out.U8(state);
  out.U8(0);
  out.U32(0);  // crc
  out.U32(0);
  out.Id(volume);
  out.U64(owner.epoch);
  out.U64(owner.nonce);
}

std::string Finish(ByteWriter out) {
  out.PatchU32(kCrcAt, Crc32c(out.str()));
  return out.Take();
}

// Everything but the fields of one kind.
absl::Status CheckWhole(const char* what, absl::string_view data, uint32_t magic, size_t bytes) {
  const auto bad = [what](const char* how) {
    return absl::DataLossError(absl::StrCat(what, " ", how));
  };
  ByteReader in(data);
  if (in.U32() != magic) return bad("has a wrong magic number");
  const uint16_t version = in.U16();
  in.U16();
  const uint32_t crc = in.U32();
  if (!in.ok() || data.size() < kCrcAt + 4) return bad("is cut short");
  std::string copy(data);
  for (int i = 0; i < 4; ++i) copy[kCrcAt + i] = 0;
  if (Crc32c(copy) != crc) return bad("has a wrong checksum");
  if (version != kVersion) {
    return absl::UnimplementedError(
        absl::StrCat(what, " version ", version, " is not known; use a newer driver"));
  }
  return data.size() == bytes ? absl::OkStatus() : bad("has a wrong length");
}

Owner GetOwner(ByteReader& in) {
  Owner owner;
  owner.epoch = in.U64();
  owner.nonce = in.U64();
  return owner;
}

}  // namespace

std::string ClaimName(const Uuid& volume) { return absl::StrCat(VolumePrefix(volume), "claim"); }

std::string BeatName(const Uuid& volume, const Owner& owner) {
  return absl::StrCat(StreamPrefix(volume, owner.epoch, owner.nonce), "beat");
}

std::string OwnedHeadName(const Uuid& volume, const Owner& owner) {
  return absl::StrCat(StreamPrefix(volume, owner.epoch, owner.nonce), "head");
}

bool IsLeaseName(absl::string_view name) {
  const bool owned = name.size() == OwnedHeadName({}, {}).size();
  return absl::EndsWith(name, "/claim") ||
         (owned && (absl::EndsWith(name, "/beat") || absl::EndsWith(name, "/head")));
}

std::optional<Uuid> VolumeOfHead(absl::string_view name) {
  Uuid volume;
  if (!absl::ConsumeSuffix(&name, "/head") || name.size() != 2 * volume.bytes.size()) {
    return std::nullopt;
  }
  for (char c : name) {
    if (!absl::ascii_isxdigit(c)) return std::nullopt;
  }
  const std::string raw = absl::HexStringToBytes(name);
  memcpy(volume.bytes.data(), raw.data(), volume.bytes.size());
  return volume;
}

std::string EncodeClaim(const Claim& claim) {
  ByteWriter out;
  Begin(out, kClaimMagic, 0, claim.volume, claim.owner);
  for (const Owner& owner : {claim.previous, claim.base}) {
    out.U64(owner.epoch);
    out.U64(owner.nonce);
  }
  out.U32(claim.times.lease_ms);
  out.U32(claim.times.late_ms);
  return Finish(std::move(out));
}

absl::StatusOr<Claim> ParseClaim(absl::string_view data) {
  const absl::Status whole = CheckWhole("claim", data, kClaimMagic, kClaimBytes);
  if (!whole.ok()) return whole;
  ByteReader in(data.substr(kCrcAt + 8));
  Claim claim;
  claim.volume = in.Id();
  claim.owner = GetOwner(in);
  claim.previous = GetOwner(in);
  claim.base = GetOwner(in);
  for (uint32_t* time : {&claim.times.lease_ms, &claim.times.late_ms}) {
    *time = in.U32();
    if (*time < kMinLeaseMs || *time > kMaxLeaseMs) {
      return absl::DataLossError("claim has impossible times");
    }
  }
  return claim;
}

std::string EncodeBeat(const Beat& beat) {
  ByteWriter out;
  Begin(out, kBeatMagic, beat.released ? 1 : 0, beat.volume, beat.owner);
  out.U64(beat.counter);
  return Finish(std::move(out));
}

absl::StatusOr<Beat> ParseBeat(absl::string_view data) {
  const absl::Status whole = CheckWhole("beat", data, kBeatMagic, kBeatBytes);
  if (!whole.ok()) return whole;
  Beat beat;
  const auto state = static_cast<uint8_t>(data[6]);
  if (state > 1) return absl::DataLossError("beat has an unknown state");
  beat.released = state == 1;
  ByteReader in(data.substr(kCrcAt + 8));
  beat.volume = in.Id();
  beat.owner = GetOwner(in);
  beat.counter = in.U64();
  return beat;
}

}  // namespace diskd::object
