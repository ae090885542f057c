// SPDX-License-Identifier: Apache-2.0
//
// diskd.driver.v1 messages <-> the types of drivers/sdk/driver.h. Stateless, any thread.
#ifndef DISKD_DRIVERS_SDK_CONTROL_CONVERT_H_
#define DISKD_DRIVERS_SDK_CONTROL_CONVERT_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/sdk/driver.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::sdk {

inline constexpr int kControlProtocolVersion = 1;

driver::v1::DriverDescription ToProto(const DriverDefinition& definition);
driver::v1::Geometry ToProto(const Geometry& geometry);
void SetStatus(const absl::Status& status, driver::v1::Response& response);

// INVALID_ARGUMENT: a value no driver could take, or a parameter that `definition` does not list.
absl::StatusOr<VolumeConfig> FromProto(const driver::v1::VolumeConfig& config,
                                       const DriverDefinition& definition);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_CONTROL_CONVERT_H_
