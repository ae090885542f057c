// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  bool all = false;
  bool force = false;
};

absl::Status UpgradeOne(const std::string& volume, const Options& options, Session& session) {
  v1::UpgradeDriverRequest request;
  request.set_volume(volume);
  request.set_force(options.force);
  ASSIGN_OR_RETURN(const v1::UpgradeDriverResponse response, session.agent.UpgradeDriver(request));
  if (session.options.json()) return session.PrintJson(response);
  const v1::Attachment& attachment = response.attachment();
  if (session.options.quiet) {
    session.out << attachment.volume_name() << '\n';
  } else if (response.replaced()) {
    session.out << "volume " << attachment.volume_name() << ": driver process "
                << attachment.driver_pid() << " has taken over\n";
  } else {
    session.out << "volume " << attachment.volume_name() << ": driver process "
                << attachment.driver_pid() << " runs the installed driver already\n";
  }
  return absl::OkStatus();
}

// One that fails does not keep the others from theirs.
absl::Status UpgradeAll(const Options& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::ListAttachmentsResponse listed, session.agent.ListAttachments({}));
  absl::Status first;
  int failed = 0;
  for (const v1::Attachment& attachment : listed.attachments()) {
    const absl::Status status = UpgradeOne(attachment.volume_id(), options, session);
    if (status.ok()) continue;
    ++failed;
    session.err << "diskctl: " << attachment.volume_name() << ": " << status.message() << '\n';
    if (first.ok()) first = status;
  }
  if (first.ok()) return absl::OkStatus();
  return absl::Status(first.code(), absl::StrCat(failed, " of ", listed.attachments_size(),
                                                 " drivers were not upgraded"));
}

absl::Status Upgrade(const Options& options, Session& session) {
  if (options.all != options.volume.empty()) {
    return absl::InvalidArgumentError("give either a volume or --all");
  }
  return options.all ? UpgradeAll(options, session) : UpgradeOne(options.volume, options, session);
}

}  // namespace

void AddDriverUpgrade(CLI::App& driver, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = driver.add_subcommand(
      "upgrade", "Replace a volume's running driver process by the installed driver, under I/O");
  command->add_option("volume", options->volume, "Name or id")->type_name("VOLUME");
  command->add_flag("--all", options->all, "Every attached volume, one after another");
  command->add_flag("--force", options->force, "Even if it runs the installed driver already");
  commands.Bind(command, [options](Session& session) { return Upgrade(*options, session); });
}

}  // namespace diskd::diskctl
