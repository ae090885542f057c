#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""swift_server.py DIRECTORY KIND: one of Swift's servers, configured by DIRECTORY/KIND.conf and
DIRECTORY/swift.conf rather than by anything in /etc."""
import os
import sys

from swift.common import utils

directory, kind = sys.argv[1:]
utils.SWIFT_CONF_FILE = os.path.join(directory, "swift.conf")

from swift.common import storage_policy  # noqa: E402  (reads SWIFT_CONF_FILE)
from swift.common import wsgi  # noqa: E402

storage_policy.reload_storage_policies()
sys.exit(wsgi.run_wsgi(os.path.join(directory, kind + ".conf"), kind + "-server"))
