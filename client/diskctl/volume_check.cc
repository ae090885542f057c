// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"
#include "client/diskctl/text.h"

namespace diskd::diskctl {
namespace {

absl::Status Check(const std::string& volume, Session& session) {
  v1::CheckVolumeRequest request;
  request.set_volume(volume);
  ASSIGN_OR_RETURN(const v1::CheckVolumeResponse response, session.agent.CheckVolume(request));
  if (session.options.json()) {
    RETURN_IF_ERROR(session.PrintJson(response));
  } else {
    for (const std::string& problem : response.problems()) session.out << problem << '\n';
    Table table({"CHECKED", "VALUE"});
    for (const v1::Statistic& count : response.counts()) {
      table.AddRow({StatisticNameText(count), StatisticValueText(count)});
    }
    if (!session.options.quiet) table.Print(session.out);
  }
  if (response.problems().empty()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("volume ", volume, " has ", response.problems_size(),
                   response.more_problems() ? " problems and more" : " problems"));
}

}  // namespace

void AddVolumeCheck(CLI::App& volume, Commands& commands) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = volume.add_subcommand(
      "check", "Read all that is stored of a volume and its snapshots; give it a long --timeout");
  command->add_option("volume", *name, "Name or id")->required()->type_name("VOLUME");
  commands.Bind(command, [name](Session& session) { return Check(*name, session); });
}

}  // namespace diskd::diskctl
