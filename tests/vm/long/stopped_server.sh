#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGSTOP of the server under verified I/O for a minute.
# limit: 400
STOP_S=60 exec "$REPO/tests/vm/guest/module_stopped_server.sh"
