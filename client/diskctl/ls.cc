// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"
#include "client/diskctl/text.h"

namespace diskd::diskctl {
namespace {

std::string StateCell(const v1::Attachment& attachment) {
  std::string state = AttachmentStateText(attachment.state());
  if (!attachment.message().empty()) absl::StrAppend(&state, ": ", attachment.message());
  return state;
}

absl::Status List(Session& session) {
  ASSIGN_OR_RETURN(const v1::ListAttachmentsResponse response, session.agent.ListAttachments({}));
  if (session.options.json()) return session.PrintJson(response);
  if (session.options.quiet) {
    for (const v1::Attachment& attachment : response.attachments()) {
      session.out << attachment.volume_name() << '\n';
    }
    return absl::OkStatus();
  }
  Table table({"VOLUME", "DEVICE", "TRANSPORT", "MODE", "QUEUES", "PID", "RESTARTS", "STATE"});
  for (const v1::Attachment& attachment : response.attachments()) {
    table.AddRow({attachment.volume_name(), attachment.device_path(),
                  TransportText(attachment.transport()), attachment.read_only() ? "ro" : "rw",
                  absl::StrCat(attachment.queues()),
                  attachment.driver_pid() ? absl::StrCat(attachment.driver_pid()) : "",
                  absl::StrCat(attachment.driver_restarts()), StateCell(attachment)});
  }
  if (table.empty()) {
    session.err << "nothing is attached; diskctl volume ls lists the volumes\n";
  } else {
    table.Print(session.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddLs(CLI::App& root, Commands& commands) {
  CLI::App* command = root.add_subcommand("ls", "List what is attached");
  commands.Bind(command, List);
}

}  // namespace diskd::diskctl
