#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""presign.py METHOD OBJECT [NAME=VALUE...]: an address that lets a client without any signing of its own
do that to one object of the bucket that DISKD_TEST_S3_* describe, for an hour. OBJECT may be empty: the
bucket. NAME=VALUE: what the request asks for besides."""
import datetime
import hashlib
import hmac
import os
import sys
import urllib.parse

LIFETIME_S = 3600
REGION = "us-east-1"

method, name, *asked = sys.argv[1:]
endpoint, bucket, access, secret = (
    os.environ["DISKD_TEST_S3_" + v] for v in ("ENDPOINT", "BUCKET", "ACCESS_KEY", "SECRET_KEY"))
path = urllib.parse.quote(f"/{bucket}/{name}" if name else f"/{bucket}")
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
scope = f"{now[:8]}/{REGION}/s3/aws4_request"
query = urllib.parse.urlencode(sorted([
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", f"{access}/{scope}"),
    ("X-Amz-Date", now), ("X-Amz-Expires", LIFETIME_S), ("X-Amz-SignedHeaders", "host"),
    *(tuple(part.split("=", 1)) for part in asked)]), quote_via=urllib.parse.quote, safe="")
host = urllib.parse.urlparse(endpoint).netloc
canonical = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
digest = hashlib.sha256(canonical.encode()).hexdigest()
key = ("AWS4" + secret).encode()
for step in scope.split("/"):
    key = hmac.new(key, step.encode(), hashlib.sha256).digest()
signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}".encode(), hashlib.sha256).hexdigest()
print(f"{endpoint}{path}?{query}&X-Amz-Signature={signature}")
