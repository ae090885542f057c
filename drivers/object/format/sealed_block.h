// SPDX-License-Identifier: Apache-2.0
//
// Blocks of local files that begin with magic 4, version 4 and the CRC of the whole block 4.
// Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_SEALED_BLOCK_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_SEALED_BLOCK_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/format/bytes.h"

namespace diskd::object {

// Fills the block up and sets its checksum, which `crc` receives unless it is null.
void SealBlock(ByteWriter& out, uint32_t* crc);

// A reader that stands behind the checksum. DATA_LOSS: not such a block. UNIMPLEMENTED: another
// version; `what` names the file in the message.
absl::StatusOr<ByteReader> OpenBlock(absl::string_view block, const char* what, uint32_t magic,
                                     uint32_t version, uint32_t* crc);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_SEALED_BLOCK_H_
