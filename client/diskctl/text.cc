// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/text.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

// A value of a newer agent has no name here: show its number.
std::string EnumText(absl::string_view name, absl::string_view prefix, int value) {
  if (name.empty()) return absl::StrCat("unknown(", value, ")");
  absl::ConsumePrefix(&name, prefix);
  return absl::AsciiStrToLower(name);
}

}  // namespace

std::string TransportText(v1::Transport transport) {
  if (transport == v1::TRANSPORT_UNSPECIFIED) return "auto";
  return EnumText(v1::Transport_Name(transport), "TRANSPORT_", transport);
}

std::string VolumeStateText(v1::VolumeState state) {
  return EnumText(v1::VolumeState_Name(state), "VOLUME_STATE_", state);
}

std::string AttachmentStateText(v1::AttachmentState state) {
  return EnumText(v1::AttachmentState_Name(state), "ATTACHMENT_STATE_", state);
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::string StatisticNameText(const v1::Statistic& statistic) {
  std::string name = statistic.name();
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string StatisticValueText(const v1::Statistic& statistic) {
  const double value = statistic.value();
  if (statistic.unit() == "bytes") return client::FormatSize(static_cast<uint64_t>(value));
  if (statistic.unit() == "seconds") return absl::StrFormat("%.1f s", value);
  if (statistic.unit() == "ratio") return absl::StrFormat("%.3f", value);
  const std::string text =
      value == std::floor(value) ? absl::StrFormat("%.0f", value) : absl::StrFormat("%g", value);
  return statistic.unit().empty() ? text : absl::StrCat(text, " ", statistic.unit());
}

absl::StatusOr<v1::Transport> ParseTransport(absl::string_view text) {
  if (text == "auto") return v1::TRANSPORT_UNSPECIFIED;
  if (text == "buse") return v1::TRANSPORT_BUSE;
  if (text == "fuse") return v1::TRANSPORT_FUSE;
  return absl::InvalidArgumentError(
      absl::StrCat("transport \"", text, "\": want auto, buse or fuse"));
}

absl::StatusOr<absl::Duration> ParseTimeout(absl::string_view text) {
  double number;
  if (absl::SimpleAtod(text, &number) && number != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout \"", text, "\": ", text, " what? Write ", text, "s or ", text, "m"));
  }
  absl::Duration timeout;
  if (!absl::ParseDuration(text, &timeout)) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout \"", text, "\": want a duration such as 30s or 2m"));
  }
  if (timeout <= absl::ZeroDuration() || timeout == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout \"", text, "\": want a positive, finite duration such as 30s"));
  }
  return timeout;
}

absl::StatusOr<std::map<std::string, std::string>> ParseParameters(
    const std::vector<std::string>& texts) {
  std::map<std::string, std::string> parameters;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameter \"", text, "\": want NAME=VALUE, such as dir=/srv/disks"));
    }
    const std::string name = text.substr(0, equals);
    if (!parameters.emplace(name, text.substr(equals + 1)).second) {
      return absl::InvalidArgumentError(absl::StrCat("parameter ", name, " is given twice"));
    }
  }
  return parameters;
}

absl::StatusOr<std::string> JsonText(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    return absl::InternalError(
        absl::StrCat("the agent's answer can't be written as JSON: ", status.ToString()));
  }
  return json;
}

std::string JsonQuote(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace diskd::diskctl
