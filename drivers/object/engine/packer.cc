// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/packer.h"

#include <algorithm>
#include <utility>

namespace diskd::object {
namespace {

// Bytes packed, or made, before others have their turn.
constexpr size_t kBytesPerTurn = 256 << 10;
// Of a body, behind it; memory that nobody touches costs nothing.
constexpr size_t kSlackPart = 16;
// Packing that saves less than this part only makes reads slower.
constexpr size_t kWorthwhile = 16;
// What a frame of an encrypted object adds: a tag, and its length in the header.
constexpr size_t kFrameRoomBytes = 32;

}  // namespace

Task<std::string> MakeBody(Scheduler* scheduler, size_t bytes, std::string memory) {
  std::string body = std::move(memory);
  if (body.size() > bytes) body.resize(bytes);
  // The next one may be a little larger.
  body.reserve(bytes + bytes / kSlackPart);
  while (body.size() < bytes) {
    body.resize(std::min(bytes, body.size() + kBytesPerTurn));
    co_await Sleep(scheduler, absl::ZeroDuration());
  }
  co_return body;
}

Task<std::string> PackObject(Scheduler* scheduler, const Options& options, ObjectHeader& header,
                             std::string body, size_t room) {
  const absl::string_view blocks = absl::string_view(body).substr(room);
  const PackingKey* key = options.key_or_null();
  if (!blocks.empty() && (options.zstd_level > 0 || key != nullptr)) {
    header.frame_blocks = options.zstd_level > 0 ? kCompressedFrameBlocks : kEncryptedFrameBlocks;
    header.encrypted = key != nullptr;
    std::optional<ObjectCipher> cipher;
    if (key != nullptr) {
      cipher.emplace(*key, header.volume, header.epoch, header.nonce, header.sequence);
    }
    const size_t frame_bytes = header.frame_blocks * size_t{kBlockBytes};
    std::string packed;
    // Header and tags on top.
    packed.reserve(body.capacity() + blocks.size() / frame_bytes * kFrameRoomBytes + kBlockBytes);
    size_t turn = 0;
    for (size_t at = 0; at < blocks.size(); at += frame_bytes) {
      const std::string frame =
          PackFrame(blocks.substr(at, frame_bytes), static_cast<uint32_t>(header.frames.size()),
                    options.zstd_level, cipher.has_value() ? &*cipher : nullptr);
      header.frames.push_back(static_cast<uint32_t>(frame.size()));
      packed += frame;
      if ((turn += frame_bytes) < kBytesPerTurn) continue;
      turn = 0;
      co_await Sleep(scheduler, absl::ZeroDuration());
    }
    if (header.encrypted || packed.size() + blocks.size() / kWorthwhile <= blocks.size()) {
      body = std::move(packed);
      room = 0;
    } else {
      header.frame_blocks = 0;
      header.frames.clear();
    }
  }
  body.replace(0, room, EncodeObjectHeader(header, key));
  co_return body;
}

}  // namespace diskd::object
