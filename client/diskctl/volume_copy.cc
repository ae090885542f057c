// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/parameters.h"
#include "client/diskctl/secrets.h"
#include "client/diskctl/text.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

constexpr absl::Duration kLookInterval = absl::Seconds(1);
// After so many looks at a copy that nobody works on it is asked for again.
constexpr int kIdleLooks = 10;

struct Options {
  std::string source;
  std::string name;
  std::string snapshot;
  std::vector<std::string> parameters;
  std::vector<std::string> secrets;
};

void ShowProgress(const v1::Volume& volume, Session& session, std::string& shown) {
  if (session.options.quiet || volume.copy_bytes() == 0) return;
  std::string text =
      client::FormatSize(volume.copied_bytes()) + " of " + client::FormatSize(volume.copy_bytes());
  if (text == shown) return;
  session.err << "diskctl: " << volume.name() << ": copied " << text << std::endl;
  shown = std::move(text);
}

absl::StatusOr<v1::Volume> Look(const std::string& name, Session& session) {
  v1::GetVolumeRequest request;
  request.set_volume(name);
  ASSIGN_OR_RETURN(const v1::GetVolumeResponse response, session.agent.GetVolume(request));
  return response.volume();
}

// Only looks: a create would begin a copy again that somebody has just deleted.
absl::Status AwaitOther(const std::string& name, Session& session, std::string& shown) {
  int idle = 0;
  for (;;) {
    const auto volume = Look(name, session);
    if (absl::IsNotFound(volume.status())) {
      return absl::FailedPreconditionError(
          absl::StrCat("the copy to volume \"", name,
                       "\" has ended without result: it was deleted, or undone "
                       "for a reason that the agent's log has"));
    }
    RETURN_IF_ERROR(volume.status());
    if (volume->state() != v1::VOLUME_STATE_CREATING) return absl::OkStatus();
    idle = volume->copy_bytes() == 0 ? idle + 1 : 0;
    if (idle == kIdleLooks) return absl::OkStatus();
    ShowProgress(*volume, session, shown);
    absl::SleepFor(kLookInterval);
  }
}

// The agent goes on when a call's time is over.
absl::StatusOr<v1::CreateVolumeResponse> CreateAndWait(const v1::CreateVolumeRequest& request,
                                                       Session& session) {
  std::string shown;
  for (;;) {
    const auto there = Look(request.name(), session);
    if (!there.ok() && !absl::IsNotFound(there.status())) return there.status();
    if (there.ok() && there->state() == v1::VOLUME_STATE_CREATING && there->copy_bytes() > 0) {
      RETURN_IF_ERROR(AwaitOther(request.name(), session, shown));
    }
    absl::Notification ended;
    std::thread looking([&] {
      while (!ended.WaitForNotificationWithTimeout(kLookInterval)) {
        const auto volume = Look(request.name(), session);
        if (volume.ok()) ShowProgress(*volume, session, shown);
      }
    });
    auto response = session.agent.CreateVolume(request);
    ended.Notify();
    looking.join();
    const absl::Status& status = response.status();
    if (!absl::IsDeadlineExceeded(status) && !absl::IsAborted(status)) return response;
    RETURN_IF_ERROR(AwaitOther(request.name(), session, shown));
  }
}

absl::Status Copy(const Options& options, Session& session) {
  v1::CreateVolumeRequest request;
  request.set_name(options.name);
  request.mutable_source()->set_volume(options.source);
  request.mutable_source()->set_snapshot(options.snapshot);
  request.mutable_source()->set_full_copy(true);
  ASSIGN_OR_RETURN(const auto parameters, ParseParameters(options.parameters));
  request.mutable_parameters()->insert(parameters.begin(), parameters.end());
  RETURN_IF_ERROR(ReadSecrets(options.secrets, *request.mutable_secrets()));
  ASSIGN_OR_RETURN(const auto response, CreateAndWait(request, session));
  if (session.options.json()) return session.PrintJson(response);
  const v1::Volume& volume = response.volume();
  if (session.options.quiet) {
    session.out << volume.name() << '\n';
  } else {
    session.out << "volume " << volume.name() << " is " << VolumeStateText(volume.state()) << ": "
                << client::FormatSize(volume.size_bytes()) << ", a full copy of " << options.source
                << ", " << volume.id() << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeCopy(CLI::App& volume, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = volume.add_subcommand(
      "copy",
      "Make a volume that is a full copy of another one, which may be in use, in the same store or "
      "another one; waits for it, and shows how far it is");
  command->add_option("source", options->source, "Name or id")->required()->type_name("SOURCE");
  command->add_option("name", options->name, "Of the new volume")->required()->type_name("NAME");
  command
      ->add_option("--snapshot", options->snapshot,
                   "Of the source; without it, what the source is now")
      ->type_name("SNAPSHOT");
  AddParameterOption(*command, options->parameters,
                     "A parameter of the copy, such as store=...; none is the source's; may be "
                     "repeated");
  AddSecretOption(*command, options->secrets);
  commands.Bind(command, [options](Session& session) { return Copy(*options, session); });
}

}  // namespace diskd::diskctl
