// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/sealed_block.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr size_t kCrcAt = 8;

}  // namespace

void SealBlock(ByteWriter& out, uint32_t* crc) {
  out.ZeroFillTo(kBlockBytes);
  const uint32_t value = Crc32c(out.str());
  out.PatchU32(kCrcAt, value);
  if (crc != nullptr) *crc = value;
}

absl::StatusOr<ByteReader> OpenBlock(absl::string_view block, const char* what, uint32_t magic,
                                     uint32_t version, uint32_t* crc) {
  if (block.size() != kBlockBytes) {
    return absl::DataLossError(absl::StrCat(what, " block has a wrong size"));
  }
  ByteReader in(block);
  if (in.U32() != magic) {
    return absl::DataLossError(absl::StrCat(what, " block has a wrong magic number"));
  }
  const uint32_t found = in.U32();
  const uint32_t want = in.U32();
  std::string copy(block);
  for (int i = 0; i < 4; ++i) copy[kCrcAt + i] = 0;
  if (Crc32c(copy) != want) {
    return absl::DataLossError(absl::StrCat(what, " block has a wrong checksum"));
  }
  if (found != version) {
    return absl::UnimplementedError(
        absl::StrCat(what, " version ", found, " is not known; use a newer driver"));
  }
  if (crc != nullptr) *crc = want;
  return in;
}

}  // namespace diskd::object
