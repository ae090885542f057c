// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"
#include "client/diskctl/text.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

absl::Status List(Session& session) {
  ASSIGN_OR_RETURN(std::vector<v1::Volume> volumes, client::ListAllVolumes(session.agent));
  if (session.options.json()) {
    v1::ListVolumesResponse all;
    for (v1::Volume& volume : volumes) *all.add_volumes() = std::move(volume);
    return session.PrintJson(all);
  }
  if (session.options.quiet) {
    for (const v1::Volume& volume : volumes) session.out << volume.name() << '\n';
    return absl::OkStatus();
  }
  Table table({"NAME", "DRIVER", "SIZE", "STATE", "DEVICE", "ID"});
  for (const v1::Volume& volume : volumes) {
    table.AddRow({volume.name(), volume.driver(), client::FormatSize(volume.size_bytes()),
                  VolumeStateText(volume.state()), volume.attachment().device_path(), volume.id()});
  }
  if (table.empty()) {
    session.err << "no volumes; make one with diskctl volume create\n";
  } else {
    table.Print(session.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeLs(CLI::App& volume, Commands& commands) {
  CLI::App* command = volume.add_subcommand("ls", "List all volumes");
  commands.Bind(command, List);
}

}  // namespace diskd::diskctl
