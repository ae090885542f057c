// SPDX-License-Identifier: Apache-2.0
//
// One value of each format, whose bytes the tests know: they are golden, and what fuzzing begins
// with.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_TESTING_SAMPLES_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_TESTING_SAMPLES_H_

#include "drivers/object/format/cache_segment.h"
#include "drivers/object/format/claim.h"
#include "drivers/object/format/head.h"
#include "drivers/object/format/log_record.h"
#include "drivers/object/format/map_page.h"
#include "drivers/object/format/object.h"
#include "drivers/object/format/packing.h"

namespace diskd::object {

inline Uuid TestVolume() {
  Uuid id;
  for (uint8_t i = 0; i < 16; ++i) id.bytes[i] = i;
  return id;
}

inline const PackingKey kTestKey = [] {
  PackingKey key;
  for (uint8_t i = 0; i < 32; ++i) key[i] = i;
  return key;
}();

inline ObjectCipher TestCipher(uint32_t sequence) {
  return ObjectCipher(kTestKey, TestVolume(), 2, 0xabcdef, sequence);
}

inline LogSuperblock TestSuperblock() {
  LogSuperblock s;
  s.volume = TestVolume();
  s.log_id = 7;
  s.generation = 3;
  s.ring_blocks = 64;
  s.start = 130;
  s.next_lsn = 12;
  s.previous_crc = 0x01020304;
  s.uploaded = 40;
  return s;
}

inline LogRecordHeader TestRecord() {
  LogRecordHeader h;
  h.log_id = 7;
  h.epoch = 2;
  h.lsn = 12;
  h.previous_crc = 5;
  h.first_sequence = 41;
  h.ops = {{OpKind::kWrite, 10, 2}, {OpKind::kZero, 0, 1 << 20}, {OpKind::kWrite, 99, 1}};
  h.block_crcs = {11, 12, 13};
  return h;
}

inline ObjectHeader TestObject(ObjectKind kind) {
  ObjectHeader h;
  h.kind = kind;
  h.volume = TestVolume();
  h.epoch = 2;
  h.nonce = 0xabcdef;
  h.sequence = 5;
  h.confirmed = 3;
  h.first_sequence = 41;
  h.last_sequence = 43;
  if (kind == ObjectKind::kData) {
    h.extents = {{OpKind::kWrite, 10, 2}, {OpKind::kZero, 100, 7}};
    h.block_crcs = {1, 2};
  } else if (kind == ObjectKind::kMoved) {
    h.moved = {{10, {1, 2, 3, 4}}, {11, {1, 3, 3, 5}}};
    h.block_crcs = {4, 5};
  }
  return h;
}

inline ObjectHeader TestPackedObject(bool encrypted) {
  ObjectHeader h = TestObject(ObjectKind::kData);
  h.frame_blocks = 1;
  h.frames = {100, 4096};
  h.encrypted = encrypted;
  return h;
}

inline Head TestHead() {
  Head h;
  h.volume = TestVolume();
  h.epoch = 2;
  h.nonce = 3;
  h.generation = 4;
  h.log_id = 7;
  h.size_blocks = 1000;
  h.fanout_bits = 3;
  h.next_snapshot_id = 2;
  h.state = VolumeState::kCopying;
  h.origin = TestVolume();
  h.origin_snapshot = 77;
  h.copied_blocks = 500;
  h.packed = h.encrypted = true;
  h.key_check = CheckOfKey(kTestKey);
  h.checkpoint = {1, 5, 43, {1, 5, 4096, 60, 9}};
  h.streams = {{1, TestVolume(), 1, 9, 6}, {2, TestVolume(), 2, 3, 0}};
  h.snapshots = {{1, "before upgrade", true, 40, 1000, {1, 4, 4096, 50, 8}, {TestVolume()}}};
  return h;
}

inline CacheSegment TestCacheSegment() {
  CacheSegment s;
  s.volume = TestVolume();
  s.generation = 9;
  s.index = 3;
  s.blocks = 128;
  s.entries = {{0xabcdef, 5, 1, 77}, {0xabcdef, 5, 2, 78}, {3, 0x80000001, 9, 79}};
  return s;
}

inline Claim TestClaim() { return {TestVolume(), {5, 0xabcdef}, {4, 9}, {2, 3}, {60'000, 30'000}}; }

inline Beat TestBeat(bool released) { return {TestVolume(), {5, 0xabcdef}, released, 77}; }

inline MapPage TestPage(uint8_t level) {
  MapPage page;
  page.level = level;
  page.fanout_bits = 3;
  page.index = 17;
  if (level == 0) {
    page.blocks.resize(8);
    page.blocks[2] = {1, 2, 3, 4};
    page.blocks[7] = {2, 1, 9, 8};
  } else {
    page.pages.resize(8);
    page.pages[5] = {1, 2, 3, 4, 5};
  }
  return page;
}

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_TESTING_SAMPLES_H_
