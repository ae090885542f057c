// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/main.h"

#include <google/protobuf/util/json_util.h>
#include <signal.h>

#include <cstdio>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"
#include "drivers/sdk/control/control_server.h"
#include "drivers/sdk/control/convert.h"
#include "drivers/sdk/control/driver_service.h"
#include "drivers/sdk/sandbox.h"

namespace diskd::sdk {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

int Usage(const DriverDefinition& definition, const std::string& complaint) {
  fprintf(stderr,
          "%s\n"
          "usage: diskd-driver-%s describe\n"
          "       diskd-driver-%s serve --control-fd=N [--log-level=LEVEL]\n"
          "%s\n"
          "The diskd agent starts this program; run `diskctl driver ls` to see what it offers.\n",
          complaint.c_str(), definition.name.c_str(), definition.name.c_str(),
          definition.description.c_str());
  return kExitUsage;
}

int Describe(const DriverDefinition& definition) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  const auto status =
      google::protobuf::util::MessageToJsonString(ToProto(definition), &json, options);
  if (!status.ok() || fputs(json.c_str(), stdout) < 0 || fflush(stdout) != 0) {
    fprintf(stderr, "the description can't be written\n");
    return kExitFailure;
  }
  return 0;
}

int Serve(const DriverDefinition& definition, int control_fd, const std::string& log_level) {
  InitLog(absl::StrCat("diskd-driver-", definition.name), log_level);
  // Distributions build abseil with it, and each lock pays.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // A client that goes away is an error of one send, not the end of a disk.
  signal(SIGPIPE, SIG_IGN);
  const absl::Status sandboxed = EnterSandbox();
  if (!sandboxed.ok()) {
    SPDLOG_CRITICAL("sandbox: {}", sandboxed.ToString());
    return kExitFailure;
  }
  DriverService service(definition, LeaveRoot);
  const absl::Status status = RunControlServer(control_fd, service);
  if (!status.ok()) {
    SPDLOG_CRITICAL("control socket {}: {}", control_fd, status.ToString());
    return kExitFailure;
  }
  return 0;
}

}  // namespace

int DriverMain(int argc, char** argv, const DriverDefinition& definition) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "describe" && argc == 2) return Describe(definition);
  if (command != "serve") return Usage(definition, "expected `describe` or `serve`");
  int control_fd = -1;
  std::string log_level = "info";
  for (int i = 2; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--control-fd=")) {
      if (!absl::SimpleAtoi(argument, &control_fd) || control_fd < 0) {
        return Usage(definition, absl::StrCat("\"", argument, "\" is not a descriptor number"));
      }
    } else if (absl::ConsumePrefix(&argument, "--log-level=")) {
      log_level = std::string(argument);
    } else {
      return Usage(definition, absl::StrCat("unknown argument ", argument));
    }
  }
  if (control_fd < 0) return Usage(definition, "serve needs --control-fd=N");
  return Serve(definition, control_fd, log_level);
}

}  // namespace diskd::sdk
