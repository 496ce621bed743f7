"""`nexus token fetch` against an OAuth server (npm oauth2-mock-server, jose) and a double of AWS STS whose
signatures botocore checks."""
import http.client
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse

import nxtest
from nxtest import ROOT, SLOW, case, check, eq, find_binary, main, skip
from vaultkv import need

CLIENT = {"type": "oauth2", "clientId": "me", "clientSecret": "s3cr:t %"}
shared = {}


class OAuth:
    def __init__(self):
        self.process = subprocess.Popen(["node", os.path.join(ROOT, "tests/api/oauth_server.cjs")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/token"
        nxtest.closers.insert(0, self.stop)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)

    def ask(self, method, path, body=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        conn.request(method, path, json.dumps(body) if body is not None else None)
        return json.loads(conn.getresponse().read())

    def control(self, **what):
        self.ask("POST", "/control", what)

    @property
    def log(self):
        return self.ask("GET", "/log")


def oauth(**what):
    if "oauth" not in shared:
        if not os.path.exists(os.path.join(ROOT, ".cache/peers/npm/node_modules/oauth2-mock-server")):
            skip("no oauth2-mock-server in .cache/peers (tools/peers.sh)")
        if not shutil.which("node"):
            skip("no node")
        shared["oauth"] = OAuth()
    shared["oauth"].control(**what)
    return shared["oauth"]


def scratch():
    if "dir" not in shared:
        shared["dir"] = tempfile.mkdtemp(prefix="nxtok.")
        nxtest.closers.append(lambda: shutil.rmtree(shared["dir"], ignore_errors=True))
    return shared["dir"]


def fetch(block, *flags):
    """(status, stdout, stderr) of nexus token fetch."""
    p = subprocess.run([find_binary(), "token", "fetch", "-", *flags], input=json.dumps(block).encode(),
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=40 * SLOW, cwd=scratch())
    return p.returncode, p.stdout.decode().strip(), p.stderr.decode()


def works(block, *flags):
    status, out, err = fetch(block, "--print", *flags)
    eq(0, status, out, err)
    return out


def fails(block, code, text, *flags):
    began = time.monotonic()
    status, out, err = fetch(block, *flags)
    check(status == 1 and code in err and text in err, f"{code}: {text}", status, out, err)
    for secret in ("s3cr", "PRIVATE", "rotated-", "hidden"):
        check(secret not in out + err, f"{secret} was told", out, err)
    return time.monotonic() - began


def key(ec=False):
    """(private PEM, public PEM), by openssl."""
    path = os.path.join(scratch(), "ec.pem" if ec else "rsa.pem")
    make = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if ec else \
        ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    subprocess.run(["openssl", *make, "-out", path], check=True, stderr=subprocess.DEVNULL)
    public = subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], check=True, stdout=subprocess.PIPE)
    with open(path, encoding="ascii") as f:
        return f.read(), public.stdout.decode()


@case
def client_credentials():
    o = oauth()
    for way in ("basic", "post"):
        token = works({**CLIENT, "tokenUrl": o.url, "clientAuth": way, "scope": "a b"})
        eq(2, token.count("."), token)
        eq({"grant": "client_credentials", "client": way, "scope": "a b"}, o.log[-1])
    status, out, err = fetch({**CLIENT, "tokenUrl": o.url})
    check(status == 0 and "bearer token" in out and token[:20] not in out + err, "not printed unasked", out, err)
    fails({**CLIENT, "tokenUrl": o.url, "clientSecret": "hidden"}, "CREDENTIAL_INVALID", "invalid_client")


@case
def signed_assertions():
    for ec, alg in ((False, "RS256"), (True, "ES256")):
        private, public = key(ec)
        o = oauth(publicKey=public, alg=alg)
        works({"type": "oauth2", "clientId": "me", "privateKey": private, "tokenUrl": o.url})
        eq("jwt", o.log[-1]["client"], o.log)
        works({"type": "oauth2", "grantType": "jwtBearer", "issuer": "svc", "subject": "ann",
               "privateKey": private, "tokenUrl": o.url, "scope": "s"})
        claims = o.log[-1]["claims"]
        eq(("svc", "ann", "s"), (claims["iss"], claims["sub"], claims["scope"]), o.log)
        # another key does not pass
        other, _ = key(ec)
        fails({"type": "oauth2", "clientId": "me", "privateKey": other, "tokenUrl": o.url},
              "CREDENTIAL_INVALID", "invalid_client")
        if not ec:
            account = json.dumps({"type": "service_account", "client_email": "a@b.test", "private_key": private,
                                  "private_key_id": "k", "token_uri": "https://hidden.test/"})
            works({"type": "serviceAccount", "credentialsJson": account, "tokenUrl": o.url})
            eq("a@b.test", o.log[-1]["claims"]["iss"], o.log)
            fails({"type": "serviceAccount", "credentialsJson": account}, "CREDENTIAL_INVALID", "googleapis.com")


@case
def refresh_tokens_rotate():
    o = oauth(refresh="first")
    keep = os.path.join(scratch(), "kept")
    block = {**CLIENT, "refreshToken": "first", "tokenUrl": o.url}
    fails(block, "BAD_VALUE", "--keep")
    for _ in range(3):
        works(block, "--keep", keep)
    eq(0o600, os.stat(keep).st_mode & 0o777)
    eq(["refresh_token"] * 3, [e["grant"] for e in o.log])
    os.unlink(keep)
    fails(block, "CREDENTIAL_INVALID", "invalid_grant", "--keep", keep)


@case
def endpoints_that_fail():
    o = oauth(error="server_error")
    block = {**CLIENT, "tokenUrl": o.url}
    fails(block, "OUTBOUND_FAILED", "server_error")
    for error, code, text in (("html", "OUTBOUND_FAILED", "not JSON"), ("huge", "OUTBOUND_FAILED", "length"),
                              ("invalid_scope", "CREDENTIAL_INVALID", "invalid_scope"),
                              ("hidden_word", "OUTBOUND_FAILED", "status 400")):
        oauth(error=error)
        fails(block, code, text)
        eq(1, len(o.log))
    oauth(delay=16000)
    took = fails(block, "OUTBOUND_TIMEOUT", "in time")
    check(took < 19 * SLOW, "it waited for its 15 seconds", took)
    fails({**block, "tokenUrl": "http://192.0.2.1/token"}, "OUTBOUND_FAILED", "https")
    fails({**block, "tokenUrl": "http://169.254.169.254/token"}, "HOST_DENIED", "not allowed")
    fails({**block, "typo": 1}, "UNKNOWN_KEY", "typo")


# ---- AWS STS

KEYS = {"AKIDTEST": "hidden/secret+key"}


class Sts:
    """Checks each signature with botocore's own signer."""

    def __init__(self):
        need("botocore")
        self.log = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text = outer.answer(self, body)
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        nxtest.closers.insert(0, self.server.shutdown)

    def signed(self, h, body):
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        scheme, _, rest = h.headers["Authorization"].partition(" ")
        parts = dict(p.strip().split("=", 1) for p in rest.split(","))
        name, _, region, service, _ = parts["Credential"].split("/")
        if scheme != "AWS4-HMAC-SHA256" or service != "sts" or name not in KEYS:
            return False
        names = parts["SignedHeaders"].split(";")
        if "host" not in names or "x-amz-date" not in names:
            return False
        request = AWSRequest("POST", self.url + h.path, data=body, headers={n: h.headers[n] for n in names})
        request.context["timestamp"] = h.headers["X-Amz-Date"]
        signer = SigV4Auth(Credentials(name, KEYS[name]), service, region)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return signer.signature(text, request) == parts["Signature"]

    def answer(self, h, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        self.log.append(form)

        def error(status, code):
            return status, ("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
                            f"<Type>Sender</Type><Code>{code}</Code><Message>hidden</Message></Error>"
                            "<RequestId>r</RequestId></ErrorResponse>")

        web = form["Action"] == "AssumeRoleWithWebIdentity"
        if web and form.get("WebIdentityToken") != "aa.bb.cc":
            return error(400, "InvalidIdentityToken")
        if not web and not self.signed(h, body):
            return error(403, "SignatureDoesNotMatch")
        if form["RoleArn"].endswith("denied"):
            return error(403, "AccessDenied")
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + int(form["DurationSeconds"])))
        name = form["Action"]
        return 200, (f"<{name}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{name}Result>"
                     f"<AssumedRoleUser><Arn>arn:x</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser>"
                     f"<Credentials><AccessKeyId>ASIATEST</AccessKeyId><SecretAccessKey>new+secret</SecretAccessKey>"
                     f"<SessionToken>new/token==</SessionToken><Expiration>{until}</Expiration></Credentials>"
                     f"</{name}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
                     f"</{name}Response>")


def sts():
    if "sts" not in shared:
        shared["sts"] = Sts()
    return shared["sts"]


@case
def aws_own_client_passes():
    s = sts()
    session = need("botocore.session").Session()
    session.set_credentials("AKIDTEST", KEYS["AKIDTEST"])
    c = session.create_client("sts", region_name="eu-west-1", endpoint_url=s.url)
    got = c.assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="nexus", DurationSeconds=900)
    eq("ASIATEST", got["Credentials"]["AccessKeyId"])
    got = c.assume_role_with_web_identity(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="nexus",
                                          WebIdentityToken="aa.bb.cc", DurationSeconds=900)
    eq("new/token==", got["Credentials"]["SessionToken"])
    session.set_credentials("AKIDTEST", "wrong")
    c = session.create_client("sts", region_name="eu-west-1", endpoint_url=s.url)
    try:
        c.assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="nexus")
        check(False, "a wrong signature passed")
    except need("botocore.exceptions").ClientError as e:
        eq("SignatureDoesNotMatch", e.response["Error"]["Code"])


@case
def assumed_roles():
    s = sts()
    block = {"type": "iam", "iamRoleArn": "arn:aws:iam::123456789012:role/r", "awsRegion": "eu-west-1",
             "accessKeyId": "AKIDTEST", "secretAccessKey": KEYS["AKIDTEST"], "stsUrl": s.url + "/"}
    want = "AWS_ACCESS_KEY_ID=ASIATEST\nAWS_SECRET_ACCESS_KEY=new+secret\nAWS_SESSION_TOKEN=new/token=="
    eq(want, works(block))
    eq(want, works({**block, "externalId": "x /&", "sessionName": "who@x", "sessionToken": "tok/en=="}))
    eq(("x /&", "who@x", "3600"), tuple(s.log[-1][k] for k in ("ExternalId", "RoleSessionName", "DurationSeconds")))
    fails({**block, "secretAccessKey": "hidden"}, "CREDENTIAL_INVALID", "SignatureDoesNotMatch")
    fails({**block, "iamRoleArn": "arn:aws:iam::1:role/denied"}, "CREDENTIAL_INVALID", "AccessDenied")
    path = os.path.join(scratch(), "identity")
    with open(path, "w", encoding="ascii") as f:
        f.write("aa.bb.cc\n")
    web = {"type": "iam", "iamRoleArn": "arn:x", "webIdentityTokenFile": path, "stsUrl": s.url + "/"}
    eq(want, works(web))
    with open(path, "w", encoding="ascii") as f:
        f.write("hidden.b.c")
    fails(web, "CREDENTIAL_INVALID", "InvalidIdentityToken")
    with open(path, "w", encoding="ascii") as f:
        f.write("root:hidden:0:0\n")
    fails(web, "CREDENTIAL_INVALID", "webIdentityTokenFile")


main()
