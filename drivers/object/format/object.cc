// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/object.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "drivers/object/format/bytes.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr uint32_t kMagic = 0x424f4b44;  // "DKOB"
constexpr uint16_t kPlainVersion = 1;
constexpr uint16_t kPackedVersion = 2;
constexpr size_t kCrcAt = 12;
constexpr size_t kFixedBytes = 96;
constexpr size_t kPackedFixedBytes = 128;
constexpr size_t kTagAt = 96;
constexpr uint32_t kEncryptedFlag = 1;
constexpr size_t kExtentBytes = 24;
constexpr size_t kMovedBytes = 20;

size_t FixedBytes(const ObjectHeader& h) { return h.packed() ? kPackedFixedBytes : kFixedBytes; }

size_t PayloadBytes(const ObjectHeader& h) {
  return FixedBytes(h) + h.frames.size() * 4 + h.extents.size() * kExtentBytes +
         h.moved.size() * kMovedBytes + h.block_crcs.size() * 4;
}

absl::Status Bad(const char* what) {
  return absl::DataLossError(absl::StrCat("object header ", what));
}

absl::Status ParseExtents(ByteReader& in, uint32_t count, uint32_t data_blocks, ObjectHeader& h) {
  uint64_t described = 0;
  for (uint32_t i = 0; i < count; ++i) {
    LogOp op;
    op.lba = in.U64();
    op.blocks = in.U64();
    const uint8_t kind = in.U8();
    in.Raw(7);
    if (!in.ok()) return Bad("is cut short");
    if (kind != 1 && kind != 2) return Bad("has an unknown operation");
    op.kind = static_cast<OpKind>(kind);
    if (op.blocks == 0 || op.lba + op.blocks < op.lba) return Bad("has an impossible range");
    if (op.kind == OpKind::kWrite) {
      if (op.blocks > data_blocks) return Bad("describes more data than there is");
      described += op.blocks;
    }
    h.extents.push_back(op);
  }
  if (h.kind == ObjectKind::kData && described != data_blocks) return Bad("counts disagree");
  return absl::OkStatus();
}

struct PayloadCounts {
  uint32_t extents = 0;
  uint32_t moved = 0;
  uint32_t data_blocks = 0;
  uint32_t frames = 0;
};

absl::Status ParsePayload(ByteReader& in, const PayloadCounts& counts, ObjectHeader& h) {
  if (uint64_t{counts.extents} * kExtentBytes + uint64_t{counts.moved} * kMovedBytes +
          uint64_t{counts.data_blocks} * 4 + uint64_t{counts.frames} * 4 >
      in.left()) {
    return Bad("has impossible counts");
  }
  if (h.kind == ObjectKind::kMoved && counts.moved != counts.data_blocks) {
    return Bad("counts disagree");
  }
  const uint64_t longest = h.frame_blocks * uint64_t{kBlockBytes} + kTagBytes;
  for (uint32_t i = 0; i < counts.frames; ++i) {
    h.frames.push_back(in.U32());
    if (h.frames.back() == 0 || h.frames.back() > longest) return Bad("has an impossible frame");
  }
  if (absl::Status status = ParseExtents(in, counts.extents, counts.data_blocks, h); !status.ok()) {
    return status;
  }
  for (uint32_t i = 0; i < counts.moved; ++i) {
    MovedBlock m;
    m.lba = in.U64();
    m.from.stream = in.U16();
    m.from.block = in.U16();
    m.from.sequence = in.U32();
    m.from.crc = in.U32();
    h.moved.push_back(m);
  }
  for (uint32_t i = 0; i < counts.data_blocks; ++i) h.block_crcs.push_back(in.U32());
  if (!in.ok()) return Bad("is cut short");
  return absl::OkStatus();
}

}  // namespace

uint32_t ObjectHeaderBytes(const ObjectHeader& h) {
  return static_cast<uint32_t>((PayloadBytes(h) + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
}

uint64_t ObjectDataBytes(const ObjectHeader& h) {
  if (!h.packed()) return h.block_crcs.size() * uint64_t{kBlockBytes};
  uint64_t bytes = 0;
  for (uint32_t frame : h.frames) bytes += frame;
  return bytes;
}

std::string EncodeObjectHeader(const ObjectHeader& h, const PackingKey* key) {
  ByteWriter out;
  out.U32(kMagic);
  out.U16(h.packed() ? kPackedVersion : kPlainVersion);
  out.U8(static_cast<uint8_t>(h.kind));
  out.U8(0);
  out.U32(ObjectHeaderBytes(h));
  out.U32(0);
  out.Id(h.volume);
  out.U64(h.epoch);
  out.U64(h.nonce);
  out.U32(h.sequence);
  out.U32(h.confirmed);
  out.U64(h.first_sequence);
  out.U64(h.last_sequence);
  out.U32(static_cast<uint32_t>(h.extents.size()));
  out.U32(static_cast<uint32_t>(h.moved.size()));
  out.U32(static_cast<uint32_t>(h.block_crcs.size()));
  out.U32(h.encrypted ? kEncryptedFlag : 0);
  out.U32(h.frame_blocks);
  out.U32(static_cast<uint32_t>(h.frames.size()));
  out.ZeroFillTo(FixedBytes(h));
  for (uint32_t frame : h.frames) out.U32(frame);
  for (const LogOp& op : h.extents) {
    out.U64(op.lba);
    out.U64(op.blocks);
    out.U8(static_cast<uint8_t>(op.kind));
    out.ZeroFillTo(out.size() + 7);
  }
  for (const MovedBlock& m : h.moved) {
    out.U64(m.lba);
    out.U16(m.from.stream);
    out.U16(m.from.block);
    out.U32(m.from.sequence);
    out.U32(m.from.crc);
  }
  for (uint32_t crc : h.block_crcs) out.U32(crc);
  out.ZeroFillTo(ObjectHeaderBytes(h));
  if (h.encrypted) {
    std::string bytes = out.Take();
    const absl::string_view all = bytes;
    const ObjectCipher cipher(*key, h.volume, h.epoch, h.nonce, h.sequence);
    const std::string sealed = cipher.Encrypt(Piece::kHeader, 0, all.substr(0, kFixedBytes),
                                              all.substr(kPackedFixedBytes));
    const size_t payload = bytes.size() - kPackedFixedBytes;
    bytes.replace(kPackedFixedBytes, payload, sealed, 0, payload);
    bytes.replace(kTagAt, kTagBytes, sealed, payload, kTagBytes);
    out.Raw(bytes);
  }
  out.PatchU32(kCrcAt, Crc32c(out.str()));
  return out.Take();
}

absl::StatusOr<uint32_t> ParseObjectHeaderLength(absl::string_view start) {
  ByteReader in(start);
  if (in.U32() != kMagic) return Bad("has a wrong magic number");
  const uint16_t version = in.U16();
  in.U16();
  const uint32_t length = in.U32();
  if (!in.ok()) return Bad("is cut short");
  if (version != kPlainVersion && version != kPackedVersion) {
    return absl::UnimplementedError(
        absl::StrCat("object version ", version, " is not known; use a newer driver"));
  }
  if (length < kBlockBytes || length % kBlockBytes != 0 || length > kMaxObjectHeaderBytes) {
    return Bad("has an impossible length");
  }
  return length;
}

absl::StatusOr<ObjectHeader> ParseObjectHeader(absl::string_view data, const PackingKey* key) {
  auto length = ParseObjectHeaderLength(data);
  if (!length.ok()) return length.status();
  if (data.size() < *length) return Bad("is cut short");
  std::string copy(data.substr(0, *length));
  for (int i = 0; i < 4; ++i) copy[kCrcAt + i] = 0;
  ByteReader in(data.substr(0, *length));
  in.U32();
  const bool packed = in.U16() == kPackedVersion;
  ObjectHeader h;
  const uint8_t kind = in.U8();
  in.U8();
  in.U32();
  if (in.U32() != Crc32c(copy)) return Bad("has a wrong checksum");
  if (kind < 1 || kind > 4) return Bad("has an unknown kind");
  h.kind = static_cast<ObjectKind>(kind);
  h.volume = in.Id();
  h.epoch = in.U64();
  h.nonce = in.U64();
  h.sequence = in.U32();
  h.confirmed = in.U32();
  h.first_sequence = in.U64();
  h.last_sequence = in.U64();
  PayloadCounts counts;
  counts.extents = in.U32();
  counts.moved = in.U32();
  counts.data_blocks = in.U32();
  const uint32_t flags = in.U32();
  const uint32_t frame_blocks = in.U32();
  counts.frames = in.U32();
  if (!packed) {
    counts.frames = 0;
    if (absl::Status status = ParsePayload(in, counts, h); !status.ok()) return status;
    return h;
  }
  h.frame_blocks = frame_blocks;
  h.encrypted = (flags & kEncryptedFlag) != 0;
  if (flags > kEncryptedFlag || frame_blocks == 0 || frame_blocks > kMaxFrameBlocks ||
      counts.frames != (uint64_t{counts.data_blocks} + frame_blocks - 1) / frame_blocks) {
    return Bad("has impossible frames");
  }
  std::string payload = copy.substr(kPackedFixedBytes);
  if (h.encrypted) {
    if (key == nullptr) return absl::InvalidArgumentError("an object is encrypted: give its key");
    const ObjectCipher cipher(*key, h.volume, h.epoch, h.nonce, h.sequence);
    payload += copy.substr(kTagAt, kTagBytes);
    absl::StatusOr<std::string> plain =
        cipher.Decrypt(Piece::kHeader, 0, absl::string_view(copy).substr(0, kFixedBytes), payload);
    if (!plain.ok()) return plain.status();
    payload = *std::move(plain);
  }
  ByteReader inner(payload);
  if (absl::Status status = ParsePayload(inner, counts, h); !status.ok()) return status;
  return h;
}

std::string VolumePrefix(const Uuid& volume) { return absl::StrCat(volume.Hex(), "/"); }

std::string HeadName(const Uuid& volume) { return absl::StrCat(volume.Hex(), "/head"); }

std::string StreamPrefix(const Uuid& volume, uint64_t epoch, uint64_t nonce) {
  return absl::StrFormat("%s/%016x-%016x/", volume.Hex(), epoch, nonce);
}

std::string ObjectName(const Uuid& volume, uint64_t epoch, uint64_t nonce, uint32_t sequence) {
  return absl::StrFormat("%s%08x", StreamPrefix(volume, epoch, nonce), sequence);
}

absl::StatusOr<ParsedObjectName> ParseObjectName(absl::string_view name) {
  const absl::Status bad = absl::InvalidArgumentError("not the name of an object");
  if (name.size() != 32 + 1 + 33 + 1 + 8) return bad;
  ParsedObjectName parsed;
  const absl::string_view volume = name.substr(0, 32);
  uint64_t sequence = 0;
  for (char c : volume) {
    if (!absl::ascii_isxdigit(c)) return bad;
  }
  const std::string raw = absl::HexStringToBytes(volume);
  if (raw.size() != 16) return bad;
  memcpy(parsed.volume.bytes.data(), raw.data(), 16);
  if (name[32] != '/' || name[49] != '-' || name[66] != '/' ||
      !absl::SimpleHexAtoi(name.substr(33, 16), &parsed.epoch) ||
      !absl::SimpleHexAtoi(name.substr(50, 16), &parsed.nonce) ||
      !absl::SimpleHexAtoi(name.substr(67, 8), &sequence)) {
    return bad;
  }
  parsed.sequence = static_cast<uint32_t>(sequence);
  if (ObjectName(parsed.volume, parsed.epoch, parsed.nonce, parsed.sequence) != name) return bad;
  return parsed;
}

}  // namespace diskd::object
