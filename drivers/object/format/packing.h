// SPDX-License-Identifier: Apache-2.0
//
// Objects and map pages as they are stored when they are compressed (zstd) or encrypted
// (AES-256-GCM) (docs/object-format.md, "Packed objects"). Pure functions, any thread.
//
// A key encrypts any number of volumes. Each object has a key of its own, made of the caller's and
// the object's name, and each piece of it a nonce of its own: names are never used twice, so no
// nonce is. What is read is what was written under that name, or an error.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_PACKING_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_PACKING_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/types.h"

namespace diskd::object {

using PackingKey = std::array<uint8_t, 32>;
using KeyCheck = std::array<uint8_t, 16>;

inline constexpr size_t kTagBytes = 16;
// Blocks packed together: compressed, and encrypted only.
inline constexpr uint32_t kCompressedFrameBlocks = 16;
inline constexpr uint32_t kEncryptedFrameBlocks = 1;
inline constexpr uint32_t kMaxFrameBlocks = 64;

// What a HEAD keeps to recognize the key; says nothing about it otherwise.
KeyCheck CheckOfKey(const PackingKey& key);

// The pieces of one object.
enum class Piece : uint32_t { kFrame = 0, kHeader = 1, kPage = 2 };

class ObjectCipher {
 public:
  ObjectCipher(const PackingKey& key, const Uuid& volume, uint64_t epoch, uint64_t nonce,
               uint32_t sequence);
  // `number` tells pieces of a kind apart. The result is kTagBytes longer than `plain`.
  std::string Encrypt(Piece piece, uint64_t number, absl::string_view also_authenticated,
                      absl::string_view plain) const;
  // DATA_LOSS: not what Encrypt() made of the same arguments.
  absl::StatusOr<std::string> Decrypt(Piece piece, uint64_t number,
                                      absl::string_view also_authenticated,
                                      absl::string_view sealed) const;

 private:
  PackingKey key_;
};

// A frame as stored: compressed if `zstd_level` > 0 and that makes it smaller, encrypted if
// `cipher` is there.
std::string PackFrame(absl::string_view blocks, uint32_t number, int zstd_level,
                      const ObjectCipher* cipher);
// `bytes`: of the blocks in it.
absl::StatusOr<std::string> UnpackFrame(absl::string_view stored, uint32_t number, size_t bytes,
                                        const ObjectCipher* cipher);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_PACKING_H_
