// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/log_record.h"

#include <utility>

#include "drivers/object/format/bytes.h"
#include "drivers/object/format/sealed_block.h"

namespace diskd::object {
namespace {

constexpr uint32_t kSuperblockMagic = 0x534c4b44;  // "DKLS"
constexpr uint32_t kRecordMagic = 0x524c4b44;      // "DKLR"
constexpr uint32_t kVersion = 1;

}  // namespace

std::string EncodeLogSuperblock(const LogSuperblock& s) {
  ByteWriter out;
  out.U32(kSuperblockMagic);
  out.U32(kVersion);
  out.U32(0);
  out.U32(s.previous_crc);
  out.Id(s.volume);
  out.U64(s.log_id);
  out.U64(s.generation);
  out.U64(s.ring_blocks);
  out.U64(s.start);
  out.U64(s.next_lsn);
  out.U64(s.uploaded);
  SealBlock(out, nullptr);
  return out.Take();
}

absl::StatusOr<LogSuperblock> ParseLogSuperblock(absl::string_view block) {
  auto in = OpenBlock(block, "log", kSuperblockMagic, kVersion, nullptr);
  if (!in.ok()) return in.status();
  LogSuperblock s;
  s.previous_crc = in->U32();
  s.volume = in->Id();
  s.log_id = in->U64();
  s.generation = in->U64();
  s.ring_blocks = in->U64();
  s.start = in->U64();
  s.next_lsn = in->U64();
  s.uploaded = in->U64();
  if (s.ring_blocks == 0) return absl::DataLossError("log superblock describes an empty ring");
  return s;
}

std::string EncodeLogRecordHeader(const LogRecordHeader& h, uint32_t* crc, std::string buffer) {
  ByteWriter out(std::move(buffer));
  out.U32(kRecordMagic);
  out.U32(kVersion);
  out.U32(0);
  out.U32(h.previous_crc);
  out.U64(h.log_id);
  out.U64(h.epoch);
  out.U64(h.lsn);
  out.U64(h.first_sequence);
  out.U32(static_cast<uint32_t>(h.ops.size()));
  out.U32(static_cast<uint32_t>(h.block_crcs.size()));
  out.U64(h.durable_lsn);
  for (const LogOp& op : h.ops) {
    out.U64(op.lba);
    out.U64(op.blocks);
    out.U8(static_cast<uint8_t>(op.kind));
    out.ZeroFillTo(out.size() + 7);
  }
  for (uint32_t value : h.block_crcs) out.U32(value);
  SealBlock(out, crc);
  return out.Take();
}

absl::StatusOr<LogRecordHeader> ParseLogRecordHeader(absl::string_view block, uint32_t* crc) {
  auto in = OpenBlock(block, "log", kRecordMagic, kVersion, crc);
  if (!in.ok()) return in.status();
  LogRecordHeader h;
  h.previous_crc = in->U32();
  h.log_id = in->U64();
  h.epoch = in->U64();
  h.lsn = in->U64();
  h.first_sequence = in->U64();
  const uint32_t ops = in->U32();
  const uint32_t data_blocks = in->U32();
  h.durable_lsn = in->U64();
  if (ops == 0 || ops > kBlockBytes || data_blocks > kBlockBytes ||
      !LogRecordFits(ops, data_blocks)) {
    return absl::DataLossError("log record has impossible counts");
  }
  uint64_t described = 0;
  for (uint32_t i = 0; i < ops; ++i) {
    LogOp op;
    op.lba = in->U64();
    op.blocks = in->U64();
    const uint8_t kind = in->U8();
    in->Raw(7);
    if (kind != 1 && kind != 2) return absl::DataLossError("log record has an unknown operation");
    op.kind = static_cast<OpKind>(kind);
    if (op.blocks == 0 || op.lba + op.blocks < op.lba) {
      return absl::DataLossError("log record has an impossible range");
    }
    if (op.kind == OpKind::kWrite) {
      if (op.blocks > data_blocks) return absl::DataLossError("log record data is too short");
      described += op.blocks;
    }
    h.ops.push_back(op);
  }
  if (described != data_blocks) return absl::DataLossError("log record counts disagree");
  for (uint32_t i = 0; i < data_blocks; ++i) h.block_crcs.push_back(in->U32());
  if (!in->ok()) return absl::DataLossError("log record is cut short");
  return h;
}

}  // namespace diskd::object
