// SPDX-License-Identifier: Apache-2.0
//
// A self-signed certificate for 127.0.0.1, made on the spot.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_CERTIFICATE_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_CERTIFICATE_H_

#include <string>

#include "drivers/object/store/testing/http_server.h"

namespace diskd::object {

// Writes certificate and key below `directory`. The certificate file is its own authority.
HttpServer::Tls MakeCertificate(const std::string& directory);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_CERTIFICATE_H_
