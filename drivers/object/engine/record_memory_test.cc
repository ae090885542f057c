// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/record_memory.h"

#include <cstring>
#include <deque>
#include <random>

#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 20;

TEST(RecordMemory_RandomWork, PiecesNeverOverlap_AndAlwaysFitWhenNothingIsTaken) {
  struct Piece {
    std::byte* memory;
    uint64_t blocks;
    int mark;
  };
  RecordMemory memory({}, kBlocks);
  std::deque<Piece> pieces;
  std::mt19937_64 random(1);
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t blocks = random() % kBlocks + 1;
    std::byte* const piece = memory.Take(blocks);
    if (piece == nullptr) {
      ASSERT_FALSE(pieces.empty()) << blocks << " blocks of " << kBlocks;
      const Piece oldest = pieces.front();
      for (uint64_t at = 0; at < oldest.blocks * kBlockBytes; at += kBlockBytes) {
        ASSERT_EQ(oldest.memory[at], static_cast<std::byte>(oldest.mark));
      }
      pieces.pop_front();
      memory.GiveBackOldest();
      continue;
    }
    ++taken;
    memset(piece, i % 256, blocks * kBlockBytes);
    pieces.push_back({piece, blocks, i % 256});
    uint64_t used = 0;
    for (const Piece& there : pieces) used += there.blocks * kBlockBytes;
    ASSERT_GE(memory.used_bytes(), used);
    ASSERT_LE(memory.used_bytes(), kBlocks * kBlockBytes);
  }
  EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace diskd::object
