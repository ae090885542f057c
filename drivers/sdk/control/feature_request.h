// SPDX-License-Identifier: Apache-2.0
//
// A FeatureRequest of diskd.driver.v1 as a call of VolumeFeatures.
#ifndef DISKD_DRIVERS_SDK_CONTROL_FEATURE_REQUEST_H_
#define DISKD_DRIVERS_SDK_CONTROL_FEATURE_REQUEST_H_

#include "absl/status/statusor.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/features.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::sdk {

// `serving`: the open volume of this process; nullptr: none is open, the volume is at rest. `tell`:
// of one at rest that is opened for it.
absl::StatusOr<driver::v1::FeatureResponse> AnswerFeature(const driver::v1::FeatureRequest& request,
                                                          const DriverDefinition& definition,
                                                          Driver* serving,
                                                          VolumeConfig::TellOpening tell = nullptr);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_CONTROL_FEATURE_REQUEST_H_
