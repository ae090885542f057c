// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/table.h"
#include "client/diskctl/text.h"
#include "client/lib/status.h"

namespace diskd::diskctl {
namespace {

constexpr char kOk[] = "ok";
constexpr char kNo[] = "no";            // not there, and something else may do instead
constexpr char kProblem[] = "PROBLEM";  // somebody should look at it

struct Check {
  std::string name;
  std::string result;
  std::string detail;
};

// All that doctor found; `verdict` is what the exit code says.
struct Diagnosis {
  std::vector<Check> checks;
  absl::StatusOr<v1::GetNodeInfoResponse> node = absl::UnknownError("not asked");
  v1::ListDriversResponse drivers;
  absl::Status verdict;
};

Check DeviceCheck(const std::string& name, const absl::Status& status, absl::string_view advice) {
  if (status.ok()) return {name, kOk, "can be opened"};
  if (absl::IsPermissionDenied(status)) {
    return {name, kNo, absl::StrCat(status.message(), "; run diskctl doctor as root to know")};
  }
  return {name, kNo, absl::StrCat(status.message(), "; ", advice)};
}

Check ModuleCheck(const HostFacts& facts) {
  if (facts.buse.ok()) return {"module buse", kOk, "loaded"};
  if (!absl::IsNotFound(facts.buse)) {
    return {"module buse", kNo, std::string(facts.buse.message())};
  }
  if (!facts.module_file.empty()) {
    return {"module buse", kNo,
            absl::StrCat("not loaded; ", facts.module_file, " is there: modprobe buse")};
  }
  return {"module buse", kNo,
          absl::StrCat("not installed for kernel ", facts.kernel_release,
                       "; build and install it (kernel/) for the fastest disks. Transport fuse "
                       "works without it")};
}

void CheckHost(const HostFacts& facts, std::vector<Check>& checks) {
  checks.push_back({"kernel", kOk, facts.kernel_release});
  checks.push_back({"user", facts.root ? kOk : kNo,
                    facts.root ? "root" : "not root: the agent's socket is for root by default"});
  checks.push_back(ModuleCheck(facts));
  checks.push_back(
      DeviceCheck("/dev/fuse", facts.fuse, "modprobe fuse; in a container, give it the device"));
  checks.push_back(DeviceCheck("/dev/loop-control", facts.loop,
                               "modprobe loop; in a container, give it the device"));
}

bool CheckTransports(const v1::GetNodeInfoResponse& node, std::vector<Check>& checks) {
  bool usable = false;
  for (const v1::TransportInfo& transport : node.transports()) {
    checks.push_back({absl::StrCat("transport ", TransportText(transport.transport())),
                      transport.available() ? kOk : kNo, transport.reason()});
    usable = usable || transport.available();
  }
  return usable;
}

bool CheckDrivers(const v1::ListDriversResponse& drivers, std::vector<Check>& checks) {
  bool usable = false;
  for (const v1::DriverInfo& driver : drivers.drivers()) {
    const bool ok = driver.problem().empty();
    checks.push_back(
        {absl::StrCat("driver ", driver.name()), ok ? kOk : kProblem,
         ok ? driver.description() : absl::StrCat(driver.path(), ": ", driver.problem())});
    usable = usable || ok;
  }
  return usable;
}

void CheckAttachments(const v1::ListAttachmentsResponse& attachments, std::vector<Check>& checks) {
  for (const v1::Attachment& attachment : attachments.attachments()) {
    if (attachment.state() == v1::ATTACHMENT_STATE_ATTACHED) continue;
    const bool bad = attachment.state() == v1::ATTACHMENT_STATE_FAILED ||
                     attachment.state() == v1::ATTACHMENT_STATE_RECOVERING;
    checks.push_back(
        {absl::StrCat("attachment ", attachment.volume_name()), bad ? kProblem : kNo,
         absl::StrCat(AttachmentStateText(attachment.state()), ": ", attachment.message())});
  }
}

// The same failure in few words, for the checks tell the rest.
absl::Status SeeAbove(const absl::Status& status) {
  absl::Status brief(status.code(), "the agent does not answer; the checks say more");
  status.ForEachPayload([&brief](absl::string_view type, const absl::Cord& payload) {
    brief.SetPayload(type, payload);
  });
  return brief;
}

// Asks the agent; the verdict is what stands in the way of attaching a volume.
absl::Status CheckAgent(Session& session, Diagnosis& diagnosis) {
  diagnosis.node = session.agent.GetNodeInfo({});
  if (!diagnosis.node.ok()) {
    const absl::Status& status = diagnosis.node.status();
    diagnosis.checks.push_back({"agent", kProblem, std::string(status.message())});
    return SeeAbove(status);
  }
  const v1::GetNodeInfoResponse& node = *diagnosis.node;
  diagnosis.checks.push_back({"agent", kOk,
                              absl::StrCat("diskd ", node.agent_version(), " on ", node.node_name(),
                                           ", state in ", node.state_dir(), ", ", node.volumes(),
                                           " volumes, ", node.attachments(), " attached")});
  const bool transport = CheckTransports(node, diagnosis.checks);
  ASSIGN_OR_RETURN(diagnosis.drivers, session.agent.ListDrivers({}));
  const bool driver = CheckDrivers(diagnosis.drivers, diagnosis.checks);
  ASSIGN_OR_RETURN(const v1::ListAttachmentsResponse attachments,
                   session.agent.ListAttachments({}));
  CheckAttachments(attachments, diagnosis.checks);
  if (!transport) {
    return absl::FailedPreconditionError(
        "no transport is usable: load the module buse, or make /dev/fuse and loop devices "
        "available");
  }
  if (!driver) {
    return absl::FailedPreconditionError(
        "no driver is usable: check the agent's --driver-dir and the problems above");
  }
  return absl::OkStatus();
}

absl::Status PrintJson(const Diagnosis& diagnosis, Session& session) {
  std::string node = "null";
  if (diagnosis.node.ok()) {
    ASSIGN_OR_RETURN(node, JsonText(*diagnosis.node));
  }
  ASSIGN_OR_RETURN(const std::string drivers, JsonText(diagnosis.drivers));
  session.out << "{\n \"usable\": " << (diagnosis.verdict.ok() ? "true" : "false")
              << ",\n \"verdict\": " << JsonQuote(diagnosis.verdict.message())
              << ",\n \"checks\": [";
  const char* separator = "\n";
  for (const Check& check : diagnosis.checks) {
    session.out << separator << "  {\"name\": " << JsonQuote(check.name)
                << ", \"result\": " << JsonQuote(absl::AsciiStrToLower(check.result))
                << ", \"detail\": " << JsonQuote(check.detail) << "}";
    separator = ",\n";
  }
  session.out << "\n ],\n \"node\": " << absl::StripTrailingAsciiWhitespace(node)
              << ",\n \"drivers\": " << absl::StripTrailingAsciiWhitespace(drivers) << "\n}\n";
  return absl::OkStatus();
}

absl::Status Doctor(Session& session) {
  std::string socket_path = session.options.endpoint;
  for (const absl::string_view prefix : {"unix://", "unix:"}) {
    if (absl::StartsWith(socket_path, prefix)) socket_path.erase(0, prefix.size());
  }
  Diagnosis diagnosis;
  const HostFacts facts = session.host_facts(socket_path);
  CheckHost(facts, diagnosis.checks);
  if (facts.socket.ok()) diagnosis.checks.push_back({"socket", kOk, socket_path});
  diagnosis.verdict = CheckAgent(session, diagnosis);
  if (session.options.json()) {
    RETURN_IF_ERROR(PrintJson(diagnosis, session));
    return diagnosis.verdict;
  }
  Table table({"CHECK", "RESULT", "DETAIL"});
  for (const Check& check : diagnosis.checks) {
    if (session.options.quiet && check.result == kOk) continue;
    table.AddRow({check.name, check.result, check.detail});
  }
  if (!table.empty()) table.Print(session.out);
  if (diagnosis.verdict.ok() && !session.options.quiet) {
    session.out << "ready: volumes can be attached\n";
  }
  return diagnosis.verdict;
}

}  // namespace

void AddDoctor(CLI::App& root, Commands& commands) {
  CLI::App* command =
      root.add_subcommand("doctor", "Say what works on this machine and what to do about the rest");
  commands.Bind(command, Doctor);
}

}  // namespace diskd::diskctl
