"""Our AWS signer against the one of AWS's own library, request by request."""
import datetime
import json
import os
import random
import string
import subprocess
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from support import BUILD

WHEN = datetime.datetime(2026, 11, 24, 6, 0, 1)


class Clock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return WHEN


def ours(requests):
    """What the tool makes of each."""
    text = "".join(json.dumps(dict(r, time="2026-11-24T06:00:01Z")) + "\n" for r in requests)
    out = subprocess.run([os.path.join(BUILD, "tests", "sigv4_tool")], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def theirs(r):
    """(the header Authorization, the canonical request) of botocore."""
    url = f"https://{dict(r['headers'])['Host']}{r['path']}" + (f"?{r['query']}" if r["query"] else "")
    request = botocore.awsrequest.AWSRequest(r["method"], url, headers={k: v for k, v in r["headers"] if k != "Host"},
                                             data=r["body"].encode())
    keys = botocore.credentials.Credentials(r["id"], r["key"], r["token"] or None)
    kind = botocore.auth.S3SigV4Auth if r["s3"] else botocore.auth.SigV4Auth
    auth = kind(keys, r["service"], r["region"])
    old, botocore.auth.datetime.datetime = botocore.auth.datetime.datetime, Clock
    try:
        auth.add_auth(request)
    finally:
        botocore.auth.datetime.datetime = old
    del request.headers["Authorization"]
    canonical = auth.canonical_request(request)
    return auth, request, canonical


def authorization(auth, request, r):
    scope = f"{r['id']}/{WHEN:%Y%m%d}/{r['region']}/{r['service']}/aws4_request"
    names = auth.signed_headers(auth.headers_to_sign(request))
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"


def quoted(rng, alphabet, most):
    return urllib.parse.quote("".join(rng.choice(alphabet) for _ in range(rng.randrange(most))), safe="-._~")


def requests(rng, n):
    wide = string.ascii_letters + string.digits + " !*'();:@&=+$,/?%#[]-._~\u00e9\u20ac\"<>\\^`{|}"
    for _ in range(n):
        s3 = rng.random() < 0.3
        path = "/" + "/".join(quoted(rng, wide, 8) for _ in range(rng.randrange(4)))
        if not s3 and rng.random() < 0.3:
            path += rng.choice(["/./", "//", "/../x", "/..", "/a/../b/"])
        query = "&".join(quoted(rng, wide, 6) + "x=" + quoted(rng, wide, 8) for _ in range(rng.randrange(6)))
        headers = [["Host", rng.choice(["sns.us-east-1.amazonaws.com", "localhost:4566", "b.s3.amazonaws.com"])]]
        if rng.random() < 0.6:
            headers.append(["Content-Type", "application/x-www-form-urlencoded; charset=utf-8"])
        if rng.random() < 0.4:
            headers.append(["X-Amz-Target", "  Route53   v1.List  "])
        yield {"method": rng.choice(["GET", "POST", "PUT", "DELETE"]), "path": path, "query": query, "headers": headers,
               "body": rng.choice(["", "Action=Publish&Message=%20", "<xml/>\u00e9"]), "region": rng.choice(["us-east-1", "cn-north-1"]),
               "service": "s3" if s3 else rng.choice(["sns", "route53", "rds"]), "id": "AKIDEXAMPLE", "s3": s3,
               "key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token": rng.choice(["", "TOKEN/with+signs=="])}


def test_botocore_signs_the_same():
    rng = random.Random(20261124)
    wanted = list(requests(rng, 600))
    for r, mine in zip(wanted, ours(wanted)):
        auth, request, canonical = theirs(r)
        assert "error" not in mine, (r, mine)
        assert mine["canonical"] == canonical, r
        assert dict(mine["headers"])["Authorization"] == authorization(auth, request, r), r
        for name, value in mine["headers"]:
            assert name == "Authorization" or request.headers[name] == value
