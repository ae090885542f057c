// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  std::string from;
  std::string to;
};

absl::StatusOr<v1::DiffSnapshotsResponse> DiffAll(const Options& options, Session& session) {
  v1::DiffSnapshotsRequest request;
  request.set_volume(options.volume);
  request.set_from(options.from);
  request.set_to(options.to);
  v1::DiffSnapshotsResponse all;
  for (;;) {
    ASSIGN_OR_RETURN(const v1::DiffSnapshotsResponse part, session.agent.DiffSnapshots(request));
    all.mutable_extents()->MergeFrom(part.extents());
    all.set_size_bytes(part.size_bytes());
    all.set_next(part.next());
    if (part.next() >= part.size_bytes()) return all;
    if (part.next() <= request.begin()) {
      return absl::InternalError(absl::StrCat("the differences don't go on at ", part.next()));
    }
    request.set_begin(part.next());
  }
}

absl::Status Diff(const Options& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::DiffSnapshotsResponse response, DiffAll(options, session));
  if (session.options.json()) return session.PrintJson(response);
  Table table({"OFFSET", "LENGTH", "NOW"});
  for (const v1::Extent& extent : response.extents()) {
    table.AddRow({absl::StrCat(extent.offset()), absl::StrCat(extent.length()),
                  extent.zero() ? "zeros" : "data"});
    if (session.options.quiet) session.out << extent.offset() << ' ' << extent.length() << '\n';
  }
  if (session.options.quiet) return absl::OkStatus();
  if (table.empty()) {
    session.err << "no differences\n";
  } else {
    table.Print(session.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddSnapshotDiff(CLI::App& snapshot, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = snapshot.add_subcommand(
      "diff", "The extents, in bytes, that a snapshot has changed since another one");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_option("snapshot", options->to, "The newer snapshot")
      ->required()
      ->type_name("SNAPSHOT");
  command->add_option("--from", options->from, "The older one; without it, all that has data")
      ->type_name("SNAPSHOT");
  commands.Bind(command, [options](Session& session) { return Diff(*options, session); });
}

}  // namespace diskd::diskctl
