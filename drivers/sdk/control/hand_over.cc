// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/hand_over.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/packet_socket.h"
#include "base/status_macros.h"

namespace diskd::sdk {
namespace {

constexpr char kOffer[] = "let go";
constexpr char kServing[] = "serving";

}  // namespace

// No time limits here: what became of the other process is certain only once it has said so or has
// ended, and the agent ends one that takes too long.
absl::Status OfferDisk(int socket) {
  RETURN_IF_ERROR(SendPacket(socket, kOffer));
  const auto answer = ReceivePacket(socket, absl::InfiniteDuration());
  if (!answer.ok()) return absl::UnavailableError("the new driver process has ended");
  if (answer->payload == kServing) return absl::OkStatus();
  return absl::FailedPreconditionError(answer->payload);
}

absl::Status AwaitOffer(int socket) {
  const auto offer = ReceivePacket(socket, absl::InfiniteDuration());
  if (offer.ok() && offer->payload == kOffer) return absl::OkStatus();
  return absl::UnavailableError("the process that serves the disk did not hand it over");
}

void AnswerOffer(int socket, const absl::Status& taken) {
  const std::string text = taken.ok() ? kServing : std::string(taken.message());
  const absl::Status sent = SendPacket(socket, text.empty() ? "it gives no reason" : text);
  if (!sent.ok()) SPDLOG_WARN("the former driver process is gone: {}", sent.ToString());
}

}  // namespace diskd::sdk
