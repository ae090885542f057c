// SPDX-License-Identifier: Apache-2.0
//
// Making the bytes of an object, packed as the options ask for. Scheduler's thread only, which is
// given to others in between.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_PACKER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_PACKER_H_

#include <string>

#include "drivers/object/engine/options.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/format/object.h"

namespace diskd::object {

// What PackObject() holds at most, as a multiple of the object's plain size.
inline int PackingCopies(const Options& options) {
  return options.zstd_level > 0 || options.key.has_value() ? 2 : 1;
}

// A body of so many bytes from `memory` and as much more as it takes, which is touched in turns: so
// much of it takes milliseconds. What is in it is undefined.
Task<std::string> MakeBody(Scheduler* scheduler, size_t bytes, std::string memory);

// The object that `header` and the data in `body` make; completes the header. The data begins at
// `room`; where the header has just that size it gets there, else the data is moved.
Task<std::string> PackObject(Scheduler* scheduler, const Options& options, ObjectHeader& header,
                             std::string body, size_t room);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_PACKER_H_
