// SPDX-License-Identifier: Apache-2.0
//
// API values as text for people, and back. Functions are thread-safe.
#ifndef DISKD_CLIENT_DISKCTL_TEXT_H_
#define DISKD_CLIENT_DISKCTL_TEXT_H_

#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/diskd/v1/types.pb.h"

namespace diskd::diskctl {

std::string TransportText(v1::Transport transport);             // "buse", "auto"
std::string VolumeStateText(v1::VolumeState state);             // "ready"
std::string AttachmentStateText(v1::AttachmentState state);     // "attached"
std::string TimeText(const google::protobuf::Timestamp& time);  // "2026-01-01T00:00:00Z"

std::string StatisticNameText(const v1::Statistic& statistic);  // "upload lag"
std::string StatisticValueText(const v1::Statistic& statistic);

// "auto", "buse", "fuse". INVALID_ARGUMENT: another.
absl::StatusOr<v1::Transport> ParseTransport(absl::string_view text);

// "30s", "2m", "1m30s". INVALID_ARGUMENT: no unit, not positive, infinite.
absl::StatusOr<absl::Duration> ParseTimeout(absl::string_view text);

// NAME=VALUE each; the value may be empty or have '='. INVALID_ARGUMENT: no '=', no name, a name
// twice.
absl::StatusOr<std::map<std::string, std::string>> ParseParameters(
    const std::vector<std::string>& texts);

// As protobuf's JSON mapping has it, every field present, several lines, a line end.
absl::StatusOr<std::string> JsonText(const google::protobuf::Message& message);
// A quoted JSON string.
std::string JsonQuote(absl::string_view text);

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_TEXT_H_
