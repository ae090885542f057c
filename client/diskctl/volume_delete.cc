// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "client/diskctl/command.h"

namespace diskd::diskctl {
namespace {

absl::Status Delete(const std::string& name, Session& session) {
  v1::DeleteVolumeRequest request;
  request.set_volume(name);
  ASSIGN_OR_RETURN(const v1::DeleteVolumeResponse response, session.agent.DeleteVolume(request));
  if (session.options.json()) return session.PrintJson(response);
  if (session.options.quiet) {
    session.out << name << '\n';
  } else {
    session.out << "volume " << name << " does not exist any more\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeDelete(CLI::App& volume, Commands& commands) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      volume.add_subcommand("delete", "Delete a volume and its data; it must not be attached");
  command->alias("rm");
  command->add_option("volume", *name, "Name or id")->required()->type_name("VOLUME");
  commands.Bind(command, [name](Session& session) { return Delete(*name, session); });
}

}  // namespace diskd::diskctl
