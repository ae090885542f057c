// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"
#include "client/diskctl/text.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

void AddAttachmentRows(const v1::Attachment& attachment, Table& table) {
  table.AddRow({"device", attachment.device_path()});
  table.AddRow({"stable path", attachment.stable_path()});
  table.AddRow({"attachment", AttachmentStateText(attachment.state())});
  if (!attachment.message().empty()) table.AddRow({"message", attachment.message()});
  table.AddRow({"transport", TransportText(attachment.transport())});
  table.AddRow({"mode", attachment.read_only() ? "read-only" : "read-write"});
  table.AddRow({"queues", absl::StrCat(attachment.queues())});
  table.AddRow(
      {"driver process", attachment.driver_pid() ? absl::StrCat(attachment.driver_pid()) : "none"});
  table.AddRow({"driver restarts", absl::StrCat(attachment.driver_restarts())});
  table.AddRow({"attached", TimeText(attachment.attach_time())});
}

absl::Status Get(const std::string& name, Session& session) {
  v1::GetVolumeRequest request;
  request.set_volume(name);
  ASSIGN_OR_RETURN(const v1::GetVolumeResponse response, session.agent.GetVolume(request));
  if (session.options.json()) return session.PrintJson(response);
  const v1::Volume& volume = response.volume();
  if (session.options.quiet) {
    session.out << volume.name() << '\n';
    return absl::OkStatus();
  }
  Table table({"name", volume.name()});
  table.AddRow({"id", volume.id()});
  table.AddRow({"driver", volume.driver()});
  table.AddRow({"size", absl::StrCat(client::FormatSize(volume.size_bytes()), " (",
                                     volume.size_bytes(), " bytes)")});
  if (volume.resize_bytes() > 0) {
    table.AddRow({"resize", absl::StrCat("to ", volume.resize_bytes(),
                                         " bytes was begun: attach or resize finishes it")});
  }
  table.AddRow({"logical block", client::FormatSize(volume.logical_block_bytes())});
  table.AddRow({"state", VolumeStateText(volume.state())});
  table.AddRow({"created", TimeText(volume.create_time())});
  if (volume.has_source()) {
    const std::string& snapshot = volume.source().snapshot();
    table.AddRow(
        {volume.source().full_copy() ? "copy of" : "clone of",
         absl::StrCat(volume.source().volume(), snapshot.empty() ? "" : ", snapshot ", snapshot)});
  }
  if (volume.copy_bytes() > 0) {
    table.AddRow({"copied", absl::StrCat(client::FormatSize(volume.copied_bytes()), " of ",
                                         client::FormatSize(volume.copy_bytes()))});
  }
  const std::map<std::string, std::string> sorted(volume.parameters().begin(),
                                                  volume.parameters().end());
  for (const auto& [key, value] : sorted) {
    table.AddRow({absl::StrCat("parameter ", key), value});
  }
  if (volume.has_attachment()) {
    AddAttachmentRows(volume.attachment(), table);
  } else {
    table.AddRow({"device", "none: not attached"});
  }
  table.Print(session.out);
  return absl::OkStatus();
}

}  // namespace

void AddVolumeGet(CLI::App& volume, Commands& commands) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = volume.add_subcommand("get", "Show a volume and its attachment");
  command->add_option("volume", *name, "Name or id")->required()->type_name("VOLUME");
  commands.Bind(command, [name](Session& session) { return Get(*name, session); });
}

}  // namespace diskd::diskctl
