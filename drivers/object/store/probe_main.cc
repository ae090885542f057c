// SPDX-License-Identifier: Apache-2.0
//
// diskd-store-probe: can this store hold volumes, and keep two writers apart? Exit code 0: yes;
// 1: it can not keep two writers apart; 2: it could not be found out.
#include <CLI/CLI.hpp>
#include <iostream>

#include "drivers/object/store/open_store.h"
#include "drivers/object/store/probe.h"

namespace {

int Fail(const absl::Status& status) {
  std::cerr << "diskd-store-probe: " << std::string(status.message()) << "\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  diskd::object::StoreParameters parameters;
  CLI::App app(
      "Races conditional writes against a store. Keys come from the file, or from "
      "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.");
  app.add_option("store", parameters.url, "dir:/PATH or s3://BUCKET[/PREFIX]")->required();
  app.add_option("--endpoint", parameters.endpoint, "http[s]://HOST[:PORT]; default: AWS");
  app.add_option("--region", parameters.region, "default: AWS_REGION, else us-east-1");
  app.add_option("--addressing", parameters.addressing, "auto, path or virtual");
  app.add_option("--ca-file", parameters.ca_file, "PEM of the authorities to trust");
  app.add_option("--credentials-file", parameters.credentials_file, "as ~/.aws/credentials");
  CLI11_PARSE(app, argc, argv);

  const auto store = diskd::object::OpenStore(parameters);
  if (!store.ok()) return Fail(store.status());
  const auto report = diskd::object::ProbeConditionalPut(**store, "probe");
  if (!report.ok()) return Fail(report.status());
  if (const absl::Status fencing = report->FencingByCas(); !fencing.ok()) {
    std::cout << std::string(fencing.message()) << "\n";
    return 1;
  }
  std::cout << "conditional writes hold: fencing=cas\n";
  return 0;
}
