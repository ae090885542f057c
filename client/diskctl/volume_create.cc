// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/parameters.h"
#include "client/diskctl/secrets.h"
#include "client/diskctl/text.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string name;
  std::string driver;
  std::string size;
  uint32_t block_bytes = 0;
  std::vector<std::string> parameters;
  std::vector<std::string> secrets;
};

absl::Status Create(const Options& options, Session& session) {
  v1::CreateVolumeRequest request;
  request.set_name(options.name);
  request.set_driver(options.driver);
  ASSIGN_OR_RETURN(const uint64_t size_bytes, client::ParseSize(options.size));
  request.set_size_bytes(size_bytes);
  request.set_logical_block_bytes(options.block_bytes);
  ASSIGN_OR_RETURN(const auto parameters, ParseParameters(options.parameters));
  request.mutable_parameters()->insert(parameters.begin(), parameters.end());
  RETURN_IF_ERROR(ReadSecrets(options.secrets, *request.mutable_secrets()));
  ASSIGN_OR_RETURN(const v1::CreateVolumeResponse response, session.agent.CreateVolume(request));
  if (session.options.json()) return session.PrintJson(response);
  const v1::Volume& volume = response.volume();
  if (session.options.quiet) {
    session.out << volume.name() << '\n';
  } else {
    session.out << "volume " << volume.name() << " is " << VolumeStateText(volume.state()) << ": "
                << client::FormatSize(volume.size_bytes()) << ", driver " << volume.driver() << ", "
                << volume.id() << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeCreate(CLI::App& volume, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = volume.add_subcommand(
      "create", "Make a volume. The same command again succeeds and changes nothing");
  command->add_option("name", options->name, "Letters, digits, '.', '_' and '-', at most 128")
      ->required()
      ->type_name("NAME");
  command->add_option("--driver", options->driver, "What serves it; diskctl driver ls shows all")
      ->required()
      ->type_name("DRIVER");
  command->add_option("--size", options->size, "10GiB, 512MiB, 1.5TiB (1024), 10GB, 10G (1000)")
      ->required()
      ->type_name("SIZE");
  command->add_option("--block-size", options->block_bytes, "Logical block in bytes: 512 to 4096")
      ->check(CLI::IsMember({512, 1024, 2048, 4096}))
      ->type_name("BYTES");
  AddParameterOption(*command, options->parameters, "A parameter of the driver; may be repeated");
  AddSecretOption(*command, options->secrets);
  commands.Bind(command, [options](Session& session) { return Create(*options, session); });
}

}  // namespace diskd::diskctl
