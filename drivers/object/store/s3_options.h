// SPDX-License-Identifier: Apache-2.0
//
// Where an S3 store is and how it is asked.
#ifndef DISKD_DRIVERS_OBJECT_STORE_S3_OPTIONS_H_
#define DISKD_DRIVERS_OBJECT_STORE_S3_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "drivers/object/store/http_client.h"
#include "drivers/object/store/limits.h"

namespace diskd::object {

// Requests in flight, and so connections, of each lane.
inline constexpr int kReadsInFlight = 32;
inline constexpr int kSlowReadsMax = 128;  // beside these, without an answer for kPatience
inline constexpr int kUploadsInFlight = 8;
inline constexpr int kCollectsInFlight = 4;
inline constexpr int kLeasesInFlight = 2;

struct S3Options {
  std::string bucket;
  std::string prefix;  // "" or "a/b", no slash at the ends

  // "https://host[:port]" or "http://host[:port]". Empty: AWS in `region`.
  std::string endpoint;
  std::string region = "us-east-1";

  enum class Addressing : uint8_t {
    kAuto,         // virtual host for AWS, path for an endpoint given
    kPath,         // https://host/bucket/key
    kVirtualHost,  // https://bucket.host/key
  };
  Addressing addressing = Addressing::kAuto;

  // How If-Match carries the tag. RFC 9110 quotes it; Ceph 16 compares it with the quotes and so
  // only knows it bare. kAuto begins quoted and learns from a 412 that HEAD contradicts.
  enum class EtagStyle : uint8_t { kAuto, kQuoted, kBare };
  EtagStyle etag_style = EtagStyle::kAuto;

  std::string ca_file;               // PEM of the authorities to trust; empty: the system's
  std::vector<std::string> resolve;  // "HOST:PORT:ADDRESS", in place of DNS

  std::shared_ptr<const SendGate> gate;  // as in HttpClientOptions

  int reads_in_flight = kReadsInFlight;
  int uploads_in_flight = kUploadsInFlight;
  int collects_in_flight = kCollectsInFlight;
  absl::Duration patience = kPatience;
  absl::Duration connect_timeout = kConnectTimeout;
  absl::Duration idle_timeout = kIdleTimeout;
  absl::Duration attempt_timeout = kAttemptTimeout;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_S3_OPTIONS_H_
