// SPDX-License-Identifier: Apache-2.0
//
// Every format: what is written is read back, a changed byte is noticed, known bytes stay known,
// and no bytes at all make a parser crash.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "drivers/object/format/crc32c.h"
#include "drivers/object/format/testing/samples.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

// Parsers behind one signature: true if accepted.
struct Format {
  const char* name;
  std::string bytes;
  bool (*parse)(absl::string_view);
};

std::vector<Format> AllFormats() {
  uint32_t crc;
  return {
      {"superblock", EncodeLogSuperblock(TestSuperblock()),
       [](absl::string_view d) { return ParseLogSuperblock(d).ok(); }},
      {"record", EncodeLogRecordHeader(TestRecord(), &crc),
       [](absl::string_view d) {
         uint32_t ignored;
         return ParseLogRecordHeader(d, &ignored).ok();
       }},
      {"data object", EncodeObjectHeader(TestObject(ObjectKind::kData)),
       [](absl::string_view d) { return ParseObjectHeader(d).ok(); }},
      {"moved object", EncodeObjectHeader(TestObject(ObjectKind::kMoved)),
       [](absl::string_view d) { return ParseObjectHeader(d).ok(); }},
      {"packed object", EncodeObjectHeader(TestPackedObject(false)),
       [](absl::string_view d) { return ParseObjectHeader(d).ok(); }},
      {"encrypted object", EncodeObjectHeader(TestPackedObject(true), &kTestKey),
       [](absl::string_view d) { return ParseObjectHeader(d, &kTestKey).ok(); }},
      {"map object", EncodeObjectHeader(TestObject(ObjectKind::kMap)),
       [](absl::string_view d) { return ParseObjectHeader(d).ok(); }},
      {"head", EncodeHead(TestHead()), [](absl::string_view d) { return ParseHead(d).ok(); }},
      {"leaf page", EncodeMapPage(TestPage(0)),
       [](absl::string_view d) { return ParseMapPage(d).ok(); }},
      {"inner page", EncodeMapPage(TestPage(1)),
       [](absl::string_view d) { return ParseMapPage(d).ok(); }},
      {"cache segment", EncodeCacheSegment(TestCacheSegment()),
       [](absl::string_view d) { return ParseCacheSegment(d).ok(); }},
      {"claim", EncodeClaim(TestClaim()), [](absl::string_view d) { return ParseClaim(d).ok(); }},
      {"beat", EncodeBeat(TestBeat(true)), [](absl::string_view d) { return ParseBeat(d).ok(); }},
  };
}

TEST(Crc32c_KnownVectors, MatchTheStandard) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Format_RoundTrip, GivesTheSameValue) {
  EXPECT_EQ(*ParseLogSuperblock(EncodeLogSuperblock(TestSuperblock())), TestSuperblock());
  uint32_t written = 0, read = 1;
  EXPECT_EQ(*ParseLogRecordHeader(EncodeLogRecordHeader(TestRecord(), &written), &read),
            TestRecord());
  EXPECT_EQ(written, read);
  for (ObjectKind kind :
       {ObjectKind::kData, ObjectKind::kMoved, ObjectKind::kMap, ObjectKind::kSeal}) {
    EXPECT_EQ(*ParseObjectHeader(EncodeObjectHeader(TestObject(kind))), TestObject(kind));
  }
  EXPECT_EQ(*ParseObjectHeader(EncodeObjectHeader(TestPackedObject(false))),
            TestPackedObject(false));
  EXPECT_EQ(*ParseObjectHeader(EncodeObjectHeader(TestPackedObject(true), &kTestKey), &kTestKey),
            TestPackedObject(true));
  EXPECT_EQ(*ParseHead(EncodeHead(TestHead())), TestHead());
  EXPECT_EQ(*ParseMapPage(EncodeMapPage(TestPage(0))), TestPage(0));
  EXPECT_EQ(*ParseMapPage(EncodeMapPage(TestPage(1))), TestPage(1));
  EXPECT_EQ(*ParseCacheSegment(EncodeCacheSegment(TestCacheSegment())), TestCacheSegment());
  EXPECT_EQ(*ParseClaim(EncodeClaim(TestClaim())), TestClaim());
  for (bool released : {false, true}) {
    EXPECT_EQ(*ParseBeat(EncodeBeat(TestBeat(released))), TestBeat(released));
  }
}

TEST(Format_AnyChangedByte, IsRefused) {
  for (const Format& format : AllFormats()) {
    ASSERT_TRUE(format.parse(format.bytes)) << format.name;
    for (size_t i = 0; i < format.bytes.size(); ++i) {
      std::string changed = format.bytes;
      changed[i] = static_cast<char>(changed[i] ^ 0x40);
      EXPECT_FALSE(format.parse(changed)) << format.name << " byte " << i;
    }
  }
}

TEST(Format_MapPage, LevelThatNoVolumeHasIsRefused) {
  for (int level : {1, 10, 31, 32, 64, 128, 255}) {
    MapPage page = TestPage(1);
    page.level = static_cast<uint8_t>(level);
    EXPECT_EQ(ParseMapPage(EncodeMapPage(page)).ok(), page.fanout_bits * level < 64) << level;
  }
}

TEST(Format_CutShort, IsRefused) {
  for (const Format& format : AllFormats()) {
    for (size_t size = 0; size < format.bytes.size(); ++size) {
      EXPECT_FALSE(format.parse(absl::string_view(format.bytes).substr(0, size)))
          << format.name << " of " << size << " bytes";
    }
  }
}

// Mutations with the checksum made right again, so that they reach what stands behind it.
TEST(Format_RandomBytesWithRightChecksum, NeverCrashAParser) {
  constexpr int kRounds = 20000;
  const size_t crc_at[] = {8, 8, 12, 12, 12, 12, 12, 12, 8, 8, 8, 8, 8};
  std::mt19937 random(20261121);
  const std::vector<Format> formats = AllFormats();
  int accepted = 0;
  for (int round = 0; round < kRounds; ++round) {
    const size_t which = round % formats.size();
    std::string bytes = formats[which].bytes;
    const size_t head = std::min<size_t>(bytes.size(), 192);
    for (int i = 0, n = 1 + random() % 6; i < n; ++i) {
      bytes[4 + random() % (head - 4)] = static_cast<char>(random());
    }
    for (int i = 0; i < 4; ++i) bytes[crc_at[which] + i] = 0;
    const uint32_t crc = Crc32c(bytes);
    for (int i = 0; i < 4; ++i) bytes[crc_at[which] + i] = static_cast<char>(crc >> (8 * i));
    if (formats[which].parse(bytes)) ++accepted;
  }
  EXPECT_GT(accepted, kRounds / 100) << "the mutations never get past the checksum";
}

// The bytes on disk are the format; whoever changes them changes the version.
TEST(Format_GoldenBytes, StayAsReleased) {
  EXPECT_EQ(absl::BytesToHexString(EncodeMapPage(TestPage(0))),
            "444b4d4701000300c6f40a4b0000000011000000000000008"
            "4010002000300000004000000020001000900000008000000");
  EXPECT_EQ(Crc32c(EncodeHead(TestHead())), 0xf3864cc9u);
  EXPECT_EQ(absl::BytesToHexString(EncodeCacheSegment(TestCacheSegment()).substr(0, 128)),
            "444b524301000000494ea03503000000000102030405060708090a0b0c0d0e0f"
            "0900000000000000030000008000000000000000000000000000000000000000"
            "efcdab000000000005000000010000004d000000efcdab000000000005000000"
            "020000004e000000030000000000000001000080090000004f00000000000000");
  EXPECT_EQ(absl::BytesToHexString(EncodeClaim(TestClaim())),
            "444b434c010000002c75b71100000000000102030405060708090a0b0c0d0e0f"
            "0500000000000000efcdab000000000004000000000000000900000000000000"
            "0200000000000000030000000000000060ea000030750000");
  EXPECT_EQ(absl::BytesToHexString(EncodeBeat(TestBeat(true))),
            "444b425401000100daf342df00000000000102030405060708090a0b0c0d0e0f"
            "0500000000000000efcdab00000000004d00000000000000");
  EXPECT_EQ(Crc32c(EncodeLogSuperblock(TestSuperblock())), 0x8c29518u);
  uint32_t crc;
  EXPECT_EQ(Crc32c(EncodeLogRecordHeader(TestRecord(), &crc)), 0xf3487e18u);
  EXPECT_EQ(Crc32c(EncodeObjectHeader(TestObject(ObjectKind::kData))), 0x693f736eu);
  EXPECT_EQ(Crc32c(EncodeObjectHeader(TestObject(ObjectKind::kMoved))), 0xa504aa25u);
  EXPECT_EQ(Crc32c(EncodeObjectHeader(TestObject(ObjectKind::kMap))), 0x7e63b86cu);
  EXPECT_EQ(Crc32c(EncodeObjectHeader(TestPackedObject(false))), 0xd155dfa8u);
  EXPECT_EQ(Crc32c(EncodeObjectHeader(TestPackedObject(true), &kTestKey)), 0x6cee8998u);
  EXPECT_EQ(absl::BytesToHexString(TestCipher(5).Encrypt(Piece::kFrame, 7, "", "abc")),
            "cade44305fe5434ffb5855c3aa9f4c4040730a");
  const KeyCheck check = CheckOfKey(kTestKey);
  EXPECT_EQ(absl::BytesToHexString(
                absl::string_view(reinterpret_cast<const char*>(check.data()), check.size())),
            "b27bdf1605e8e24550ede9d382fe0860");
}

TEST(Claim_WithTimesThatNoVolumeHas_IsRefused, AsDamage) {
  for (const LeaseTimes& times : {LeaseTimes{0, 60'000}, LeaseTimes{60'000, kMaxLeaseMs + 1}}) {
    Claim claim = TestClaim();
    claim.times = times;
    EXPECT_FALSE(ParseClaim(EncodeClaim(claim)).ok()) << times.lease_ms;
  }
}

TEST(LeaseNames_OfClaimBeatAndHead, AreNoObjects) {
  const Owner owner{2, 0xabc};
  const std::string stream = VolumePrefix(TestVolume()) + "0000000000000002-0000000000000abc/";
  EXPECT_EQ(ClaimName(TestVolume()), VolumePrefix(TestVolume()) + "claim");
  EXPECT_EQ(BeatName(TestVolume(), owner), stream + "beat");
  EXPECT_EQ(OwnedHeadName(TestVolume(), owner), stream + "head");
  for (const std::string& name : {ClaimName(TestVolume()), BeatName(TestVolume(), owner),
                                  OwnedHeadName(TestVolume(), owner)}) {
    EXPECT_TRUE(IsLeaseName(name)) << name;
    EXPECT_FALSE(ParseObjectName(name).ok()) << name;
    EXPECT_FALSE(VolumeOfHead(name).has_value()) << name;
  }
  EXPECT_FALSE(IsLeaseName(HeadName(TestVolume())));
  EXPECT_FALSE(IsLeaseName(ObjectName(TestVolume(), 2, 0xabc, 1)));
  EXPECT_EQ(VolumeOfHead(HeadName(TestVolume())), TestVolume());
}

// HEADs of version 1 had no state, no origin and no copy.
TEST(Head_OfVersion1_IsStillRead, AsALiveVolume) {
  std::string bytes = EncodeHead(TestHead());
  bytes.erase(124, 56);
  bytes[4] = 1;
  bytes[7] = 0;
  bytes[8] = static_cast<char>(bytes.size());
  bytes.replace(12, 4, std::string(4, '\0'));
  const uint32_t crc = Crc32c(bytes);
  for (int i = 0; i < 4; ++i) bytes[12 + i] = static_cast<char>(crc >> (8 * i));
  EXPECT_EQ(Crc32c(bytes), 0xd2245e4cu) << "the bytes as version 1 wrote them";
  const absl::StatusOr<Head> head = ParseHead(bytes);
  ASSERT_TRUE(head.ok()) << head.status();
  Head want = TestHead();
  want.state = VolumeState::kLive;
  want.origin = {};
  want.origin_snapshot = want.copied_blocks = 0;
  want.packed = want.encrypted = false;
  want.key_check = {};
  EXPECT_EQ(*head, want);
}

TEST(Frame_PackedAndUnpacked_IsTheSame, WhateverIsInIt) {
  std::mt19937 random(7);
  std::string noise(3 * kBlockBytes, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  const ObjectCipher cipher = TestCipher(1);
  const ObjectCipher* const none = nullptr;
  for (const std::string& blocks : {std::string(16 * kBlockBytes, 'x'), noise}) {
    for (int level : {0, 1, 3}) {
      for (const ObjectCipher* with : {none, &cipher}) {
        const std::string packed = PackFrame(blocks, 4, level, with);
        EXPECT_LE(packed.size(), blocks.size() + (with != nullptr ? kTagBytes : 0));
        EXPECT_EQ(*UnpackFrame(packed, 4, blocks.size(), with), blocks);
      }
    }
  }
  EXPECT_LT(PackFrame(std::string(16 * kBlockBytes, 'x'), 0, 1, none).size(), kBlockBytes);
}

TEST(EncryptedFrame_AnythingElseThanItself_IsRefused, NotDecrypted) {
  const std::string blocks(kBlockBytes, 'x');
  const ObjectCipher cipher = TestCipher(1);
  const std::string sealed = PackFrame(blocks, 4, 0, &cipher);
  EXPECT_EQ(sealed.find("xxxx"), std::string::npos);
  const ObjectCipher of_other_object = TestCipher(2);
  EXPECT_FALSE(UnpackFrame(sealed, 4, kBlockBytes, &of_other_object).ok());
  EXPECT_FALSE(UnpackFrame(sealed, 5, kBlockBytes, &cipher).ok());
  EXPECT_FALSE(cipher.Decrypt(Piece::kPage, 4, "", sealed).ok());
  for (size_t i = 0; i < sealed.size(); i += 97) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(UnpackFrame(changed, 4, kBlockBytes, &cipher).ok());
  }
  for (size_t size = 0; size < sealed.size(); size += 101) {
    EXPECT_FALSE(
        UnpackFrame(absl::string_view(sealed).substr(0, size), 4, kBlockBytes, &cipher).ok());
  }
}

TEST(CompressedFrame_RandomBytes, NeverCrashTheParser) {
  std::mt19937 random(20261122);
  const std::string packed = PackFrame(std::string(kBlockBytes, 'x') + "tail", 0, 1, nullptr);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = packed;
    for (int i = 0, n = 1 + random() % 4; i < n; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % (bytes.size() + 8));
    (void)UnpackFrame(bytes, 0, random() % (2 * kBlockBytes) + 1, nullptr);
  }
}

TEST(EncryptedObject_WithoutItsKey, SaysSo) {
  const std::string bytes = EncodeObjectHeader(TestPackedObject(true), &kTestKey);
  EXPECT_TRUE(absl::IsInvalidArgument(ParseObjectHeader(bytes).status()));
  PackingKey other = kTestKey;
  other[31] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(ParseObjectHeader(bytes, &other).status()));
  EXPECT_NE(CheckOfKey(other), CheckOfKey(kTestKey));
}

TEST(ObjectName_RoundTrip, AndNothingElseParses) {
  const std::string name = ObjectName(TestVolume(), 2, 0xabc, 9);
  EXPECT_EQ(name, "000102030405060708090a0b0c0d0e0f/0000000000000002-0000000000000abc/00000009");
  auto parsed = ParseObjectName(name);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->volume, TestVolume());
  EXPECT_EQ(parsed->epoch, 2u);
  EXPECT_EQ(parsed->nonce, 0xabcu);
  EXPECT_EQ(parsed->sequence, 9u);
  EXPECT_FALSE(ParseObjectName(HeadName(TestVolume())).ok());
  for (size_t i = 0; i < name.size(); ++i) {
    std::string changed = name;
    changed[i] = '~';
    EXPECT_FALSE(ParseObjectName(changed).ok()) << changed;
  }
}

}  // namespace
}  // namespace diskd::object
