// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"

namespace diskd::diskctl {
namespace {

std::string ParameterNames(const v1::DriverInfo& driver) {
  return absl::StrJoin(driver.parameters(), ",",
                       [](std::string* out, const v1::DriverInfo::Parameter& parameter) {
                         out->append(parameter.name());
                       });
}

absl::Status List(Session& session) {
  ASSIGN_OR_RETURN(const v1::ListDriversResponse response, session.agent.ListDrivers({}));
  if (session.options.json()) return session.PrintJson(response);
  Table table({"NAME", "STATUS", "PARAMETERS", "DESCRIPTION"});
  for (const v1::DriverInfo& driver : response.drivers()) {
    if (session.options.quiet) {
      session.out << driver.name() << '\n';
      continue;
    }
    const bool usable = driver.problem().empty();
    table.AddRow({driver.name(), usable ? "ok" : "broken", ParameterNames(driver),
                  usable ? driver.description() : driver.problem()});
  }
  if (session.options.quiet) return absl::OkStatus();
  if (table.empty()) {
    session.err << "the agent found no drivers; give it their directory with --driver-dir\n";
  } else {
    table.Print(session.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddDriverLs(CLI::App& driver, Commands& commands) {
  CLI::App* command = driver.add_subcommand("ls", "List the agent's drivers and their parameters");
  commands.Bind(command, List);
}

}  // namespace diskd::diskctl
