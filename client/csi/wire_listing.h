// SPDX-License-Identifier: Apache-2.0
//
// What of a protocol is visible on the wire, as text, for the test that pins csi.v1.
#ifndef DISKD_CLIENT_CSI_WIRE_LISTING_H_
#define DISKD_CLIENT_CSI_WIRE_LISTING_H_

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace diskd::csi {

// One line for each message, field, enumerator, extension and method of the files, sorted.
// Thread-safe.
std::vector<std::string> WireListing(
    const std::vector<const google::protobuf::FileDescriptor*>& files);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_WIRE_LISTING_H_
