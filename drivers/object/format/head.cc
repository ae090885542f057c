// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/head.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "drivers/object/format/bytes.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr uint32_t kMagic = 0x44484b44;  // "DKHD"
constexpr uint16_t kVersion = 2;
constexpr uint16_t kOldestVersion = 1;
constexpr size_t kCrcAt = 12;
constexpr size_t kStreamBytes = 40;

void PutPointer(ByteWriter& out, const PagePointer& p) {
  out.U16(p.stream);
  out.U16(0);
  out.U32(p.sequence);
  out.U32(p.offset);
  out.U32(p.length);
  out.U32(p.crc);
}

PagePointer GetPointer(ByteReader& in) {
  PagePointer p;
  p.stream = in.U16();
  in.U16();
  p.sequence = in.U32();
  p.offset = in.U32();
  p.length = in.U32();
  p.crc = in.U32();
  return p;
}

absl::Status Bad(const char* what) { return absl::DataLossError(absl::StrCat("HEAD ", what)); }

absl::Status GetSnapshot(ByteReader& in, SnapshotEntry& s) {
  s.id = in.U64();
  s.sequence = in.U64();
  s.size_blocks = in.U64();
  s.root = GetPointer(in);
  s.deleted = in.U8() != 0;
  in.U8();
  const uint16_t name = in.U16();
  const uint32_t clones = in.U32();
  if (name > kMaxSnapshotNameBytes) return Bad("has a snapshot name that is too long");
  s.name = std::string(in.Raw(name));
  if (!in.ok() || clones > in.left() / 16) return Bad("is cut short");
  for (uint32_t i = 0; i < clones; ++i) s.clones.push_back(in.Id());
  return absl::OkStatus();
}

}  // namespace

const Stream* Head::FindStream(uint16_t id) const {
  for (const Stream& s : streams) {
    if (s.id == id) return &s;
  }
  return nullptr;
}

const SnapshotEntry* Head::FindSnapshot(uint64_t id) const {
  for (const SnapshotEntry& s : snapshots) {
    if (s.id == id) return &s;
  }
  return nullptr;
}

void Head::RemoveSnapshot(uint64_t id) {
  for (auto it = snapshots.begin(); it != snapshots.end(); ++it) {
    if (it->id != id) continue;
    if (it->clones.empty()) {
      snapshots.erase(it);
    } else {
      it->deleted = true;
    }
    return;
  }
}

std::string EncodeHead(const Head& h) {
  ByteWriter out;
  out.U32(kMagic);
  out.U16(kVersion);
  out.U8(h.fanout_bits);
  out.U8(static_cast<uint8_t>(h.state));
  out.U32(0);  // length
  out.U32(0);  // crc
  out.Id(h.volume);
  out.U64(h.epoch);
  out.U64(h.nonce);
  out.U64(h.generation);
  out.U64(h.log_id);
  out.U64(h.size_blocks);
  out.U64(h.next_snapshot_id);
  out.U16(h.checkpoint.stream);
  out.U16(0);
  out.U32(h.checkpoint.sequence);
  out.U64(h.checkpoint.written);
  PutPointer(out, h.checkpoint.root);
  out.U32(static_cast<uint32_t>(h.streams.size()));
  out.U32(static_cast<uint32_t>(h.snapshots.size()));
  out.Id(h.origin);
  out.U64(h.origin_snapshot);
  out.U64(h.copied_blocks);
  out.U8(h.packed ? 1 : 0);
  out.U8(h.encrypted ? 1 : 0);
  out.ZeroFillTo(out.size() + 6);
  out.Raw({reinterpret_cast<const char*>(h.key_check.data()), h.key_check.size()});
  for (const Stream& s : h.streams) {
    out.U16(s.id);
    out.U16(0);
    out.U32(s.end);
    out.Id(s.volume);
    out.U64(s.epoch);
    out.U64(s.nonce);
  }
  for (const SnapshotEntry& s : h.snapshots) {
    out.U64(s.id);
    out.U64(s.sequence);
    out.U64(s.size_blocks);
    PutPointer(out, s.root);
    out.U8(s.deleted ? 1 : 0);
    out.U8(0);
    out.U16(static_cast<uint16_t>(s.name.size()));
    out.U32(static_cast<uint32_t>(s.clones.size()));
    out.Raw(s.name);
    for (const Uuid& clone : s.clones) out.Id(clone);
  }
  out.PatchU32(8, static_cast<uint32_t>(out.size()));
  out.PatchU32(kCrcAt, Crc32c(out.str()));
  return out.Take();
}

absl::StatusOr<Head> ParseHead(absl::string_view data) {
  ByteReader in(data);
  Head h;
  if (in.U32() != kMagic) return Bad("has a wrong magic number");
  const uint16_t version = in.U16();
  h.fanout_bits = in.U8();
  const uint8_t state = in.U8();
  const uint32_t length = in.U32();
  const uint32_t crc = in.U32();
  if (!in.ok() || length != data.size()) return Bad("is cut short");
  std::string copy(data);
  for (int i = 0; i < 4; ++i) copy[kCrcAt + i] = 0;
  if (Crc32c(copy) != crc) return Bad("has a wrong checksum");
  if (version < kOldestVersion || version > kVersion) {
    return absl::UnimplementedError(
        absl::StrCat("HEAD version ", version, " is not known; use a newer driver"));
  }
  h.volume = in.Id();
  h.epoch = in.U64();
  h.nonce = in.U64();
  h.generation = in.U64();
  h.log_id = in.U64();
  h.size_blocks = in.U64();
  h.next_snapshot_id = in.U64();
  h.checkpoint.stream = in.U16();
  in.U16();
  h.checkpoint.sequence = in.U32();
  h.checkpoint.written = in.U64();
  h.checkpoint.root = GetPointer(in);
  const uint32_t streams = in.U32();
  const uint32_t snapshots = in.U32();
  if (version >= 2) {
    if (state > static_cast<uint8_t>(VolumeState::kCopying)) return Bad("has an unknown state");
    h.state = static_cast<VolumeState>(state);
    h.origin = in.Id();
    h.origin_snapshot = in.U64();
    h.copied_blocks = in.U64();
    h.packed = in.U8() != 0;
    const uint8_t cipher = in.U8();
    if (cipher > 1) return Bad("names an unknown cipher");
    h.encrypted = cipher == 1;
    in.Raw(6);
    const absl::string_view check = in.Raw(h.key_check.size());
    if (in.ok()) memcpy(h.key_check.data(), check.data(), check.size());
  }
  if (!in.ok() || streams > in.left() / kStreamBytes) return Bad("is cut short");
  for (uint32_t i = 0; i < streams; ++i) {
    Stream s;
    s.id = in.U16();
    in.U16();
    s.end = in.U32();
    s.volume = in.Id();
    s.epoch = in.U64();
    s.nonce = in.U64();
    h.streams.push_back(s);
  }
  for (uint32_t i = 0; i < snapshots; ++i) {
    SnapshotEntry s;
    if (absl::Status status = GetSnapshot(in, s); !status.ok()) return status;
    h.snapshots.push_back(std::move(s));
  }
  if (!in.ok() || in.left() != 0) return Bad("has a wrong length");
  if (h.fanout_bits < kMinFanoutBits || h.fanout_bits > kMaxFanoutBits) {
    return Bad("has an impossible fan-out");
  }
  if (h.size_blocks == 0) return Bad("describes an empty volume");
  return h;
}

}  // namespace diskd::object
