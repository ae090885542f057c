#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Creates the bucket that DISKD_TEST_S3_* describe and checks that it takes an object; exit code 0
once it does. Signs by itself, so it also says whether a server is at fault or our client."""
import datetime
import hashlib
import hmac
import http.client
import os
import sys
import urllib.parse

TIMEOUT_S = 60
REGION = "us-east-1"


def variable(name):
    return os.environ["DISKD_TEST_S3_" + name]


def authorization(method, path, headers, day):
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, path, ""] + [f"{n}:{headers[n]}" for n in sorted(headers)] +
                          ["", names, headers["x-amz-content-sha256"]])
    scope = f"{day}/{REGION}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + variable("SECRET_KEY")).encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return (f"AWS4-HMAC-SHA256 Credential={variable('ACCESS_KEY')}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}")


def request(method, path):
    address = urllib.parse.urlparse(variable("ENDPOINT")).netloc
    now = datetime.datetime.now(datetime.timezone.utc)
    headers = {"host": address, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
               "x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}
    headers["authorization"] = authorization(method, path, headers, now.strftime("%Y%m%d"))
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    connection.request(method, path, b"" if method == "PUT" else None, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def main():
    bucket = "/" + variable("BUCKET")
    for method, path in [("PUT", bucket), ("PUT", bucket + "/ready"), ("DELETE", bucket + "/ready")]:
        status, body = request(method, path)
        exists = path == bucket and b"AlreadyOwnedByYou" in body
        if status // 100 != 2 and not exists:
            sys.exit(f"{method} {path}: {status} {body[:300]!r}")


main()
