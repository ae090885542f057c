// SPDX-License-Identifier: Apache-2.0
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

absl::Status Stats(const std::string& volume, Session& session) {
  v1::GetVolumeStatsRequest request;
  request.set_volume(volume);
  ASSIGN_OR_RETURN(const v1::GetVolumeStatsResponse stats, session.agent.GetVolumeStats(request));
  if (session.options.json()) return session.PrintJson(stats);
  if (session.options.quiet) {
    session.out << volume << '\n';
    return absl::OkStatus();
  }
  Table table({"STATISTIC", "VALUE"});
  table.AddRow({"reads", absl::StrCat(stats.reads())});
  table.AddRow({"writes", absl::StrCat(stats.writes())});
  table.AddRow({"read", client::FormatSize(stats.read_bytes())});
  table.AddRow({"written", client::FormatSize(stats.written_bytes())});
  table.AddRow({"flushes", absl::StrCat(stats.flushes())});
  table.AddRow({"errors", absl::StrCat(stats.errors())});
  for (const v1::Statistic& statistic : stats.statistics()) {
    table.AddRow({StatisticNameText(statistic), StatisticValueText(statistic)});
  }
  table.Print(session.out);
  return absl::OkStatus();
}

}  // namespace

void AddVolumeStats(CLI::App& volume, Commands& commands) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      volume.add_subcommand("stats", "What an attached volume's driver process has counted");
  command->add_option("volume", *name, "Name or id")->required()->type_name("VOLUME");
  commands.Bind(command, [name](Session& session) { return Stats(*name, session); });
}

}  // namespace diskd::diskctl
