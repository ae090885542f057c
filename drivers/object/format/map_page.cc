// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/map_page.h"

#include "absl/strings/str_cat.h"
#include "drivers/object/format/bytes.h"
#include "drivers/object/format/crc32c.h"
#include "drivers/object/format/head.h"

namespace diskd::object {
namespace {

constexpr uint32_t kMagic = 0x474d4b44;  // "DKMG"
constexpr uint8_t kVersion = 1;
constexpr size_t kCrcAt = 8;

absl::Status Bad(const char* what) { return absl::DataLossError(absl::StrCat("map page ", what)); }

}  // namespace

std::string EncodeMapPage(const MapPage& page) {
  const size_t fanout = size_t{1} << page.fanout_bits;
  ByteWriter out;
  out.U32(kMagic);
  out.U8(kVersion);
  out.U8(page.level);
  out.U8(page.fanout_bits);
  out.U8(0);
  out.U32(0);
  out.U32(0);
  out.U64(page.index);
  for (size_t i = 0; i < fanout; i += 8) {
    uint8_t bits = 0;
    for (size_t j = i; j < i + 8 && j < fanout; ++j) {
      const bool hole = page.level == 0 ? page.blocks[j].hole() : page.pages[j].hole();
      if (!hole) bits |= static_cast<uint8_t>(1u << (j - i));
    }
    out.U8(bits);
  }
  for (const BlockLocation& b : page.blocks) {
    if (b.hole()) continue;
    out.U16(b.stream);
    out.U16(b.block);
    out.U32(b.sequence);
    out.U32(b.crc);
  }
  for (const PagePointer& p : page.pages) {
    if (p.hole()) continue;
    out.U16(p.stream);
    out.U16(0);
    out.U32(p.sequence);
    out.U32(p.offset);
    out.U32(p.length);
    out.U32(p.crc);
  }
  out.PatchU32(kCrcAt, Crc32c(out.str()));
  return out.Take();
}

absl::StatusOr<MapPage> ParseMapPage(absl::string_view data) {
  ByteReader in(data);
  if (in.U32() != kMagic) return Bad("has a wrong magic number");
  const uint8_t version = in.U8();
  MapPage page;
  page.level = in.U8();
  page.fanout_bits = in.U8();
  in.U8();
  const uint32_t crc = in.U32();
  in.U32();
  page.index = in.U64();
  if (!in.ok()) return Bad("is cut short");
  std::string copy(data);
  for (int i = 0; i < 4; ++i) copy[kCrcAt + i] = 0;
  if (Crc32c(copy) != crc) return Bad("has a wrong checksum");
  if (version != kVersion) {
    return absl::UnimplementedError(
        absl::StrCat("map page version ", version, " is not known; use a newer driver"));
  }
  if (page.fanout_bits < kMinFanoutBits || page.fanout_bits > kMaxFanoutBits) {
    return Bad("has an impossible fan-out");
  }
  // Its children must span a number of blocks that can be said.
  if (page.fanout_bits * page.level >= 64) return Bad("has an impossible level");
  const size_t fanout = size_t{1} << page.fanout_bits;
  const absl::string_view bits = in.Raw((fanout + 7) / 8);
  if (!in.ok()) return Bad("is cut short");
  if (page.level == 0) {
    page.blocks.resize(fanout);
  } else {
    page.pages.resize(fanout);
  }
  for (size_t i = 0; i < fanout; ++i) {
    if ((static_cast<uint8_t>(bits[i / 8]) >> (i % 8) & 1) == 0) continue;
    const uint16_t stream = in.U16();
    const uint16_t second = in.U16();
    if (stream == 0) return Bad("has an entry without a place");
    if (page.level == 0) {
      BlockLocation& b = page.blocks[i];
      b.stream = stream;
      b.block = second;
      b.sequence = in.U32();
      b.crc = in.U32();
    } else {
      PagePointer& p = page.pages[i];
      p.stream = stream;
      p.sequence = in.U32();
      p.offset = in.U32();
      p.length = in.U32();
      p.crc = in.U32();
    }
  }
  if (!in.ok() || in.left() != 0) return Bad("has a wrong length");
  return page;
}

}  // namespace diskd::object
