// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

absl::Status List(const std::string& volume, Session& session) {
  v1::ListSnapshotsRequest request;
  request.set_volume(volume);
  ASSIGN_OR_RETURN(const v1::ListSnapshotsResponse response, session.agent.ListSnapshots(request));
  if (session.options.json()) return session.PrintJson(response);
  Table table({"NAME", "SIZE", "ID"});
  for (const v1::Snapshot& snapshot : response.snapshots()) {
    if (session.options.quiet) session.out << snapshot.name() << '\n';
    table.AddRow(
        {snapshot.name(), client::FormatSize(snapshot.size_bytes()), absl::StrCat(snapshot.id())});
  }
  if (session.options.quiet) return absl::OkStatus();
  if (table.empty()) {
    session.err << "no snapshots; make one with diskctl snapshot create\n";
  } else {
    table.Print(session.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddSnapshotLs(CLI::App& snapshot, Commands& commands) {
  auto volume = std::make_shared<std::string>();
  CLI::App* command = snapshot.add_subcommand("ls", "List a volume's snapshots, oldest first");
  command->add_option("volume", *volume, "Name or id")->required()->type_name("VOLUME");
  commands.Bind(command, [volume](Session& session) { return List(*volume, session); });
}

}  // namespace diskd::diskctl
