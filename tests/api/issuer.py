"""A token issuer: discovery, a key set, tokens. Signed by another library than the gateway verifies with
(cryptography, tools/issuer.sh), so that both would have to be wrong in the same way.

	i = issuer.start()          # SKIP when the library is not there
	i.publish("rsa", "ec")      # kids of the key set
	i.token("rsa", sub="ann")   # claims iss, aud, exp are filled in

The server is a program of its own (python3 issuer.py), for the test's Python has no such library."""
import base64
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PYTHON = os.path.join(ROOT, ".cache/venv/bin/python")


# ---- the test's side

class Issuer:
    def __init__(self):
        self.process = subprocess.Popen([PYTHON, os.path.abspath(__file__)], stdout=subprocess.PIPE,
                                        stdin=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, path, **what):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            conn.request("POST", path, json.dumps(what))
            return json.loads(conn.getresponse().read())
        finally:
            conn.close()

    def publish(self, *kids, **more):
        """Which keys are in the set; status=, maxAge=, delay= of its answers; extra= further JWKs."""
        self.ask("/control", published=list(kids), **more)

    def control(self, **what):
        self.ask("/control", **what)

    def calls(self):
        return self.ask("/control")["calls"]

    def token(self, key, head=None, raw_claims=None, **claims):
        body = {"iss": self.url, "aud": "nexus", "exp": int(time.time()) + 600, "sub": "ann", **claims}
        body = {k: v for k, v in body.items() if v is not None}
        return self.ask("/sign", key=key, head=head or {}, claims=raw_claims or body)["token"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def start():
    import nxtest
    ok = os.access(PYTHON, os.X_OK) and subprocess.run(
        [PYTHON, "-c", "import cryptography"], stderr=subprocess.DEVNULL).returncode == 0
    if not ok:
        nxtest.skip("no python cryptography in .cache/venv (tools/issuer.sh)")
    i = Issuer()
    nxtest.closers.insert(0, i.stop)
    return i


# ---- the server's side

def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_keys():
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    def new_rsa(bits=2048):
        return rsa.generate_private_key(65537, bits)
    return {"rsa": ("RS256", new_rsa()), "rsa2": ("RS256", new_rsa()), "rs384": ("RS384", new_rsa()),
            "rs512": ("RS512", new_rsa()), "weak": ("RS256", new_rsa(1024)),
            "ec": ("ES256", ec.generate_private_key(ec.SECP256R1())),
            "ed": ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
            "ed2": ("EdDSA", ed25519.Ed25519PrivateKey.generate())}


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def jwk(kid, alg, key):
    from cryptography.hazmat.primitives import serialization
    public = key.public_key()
    out = {"kid": kid, "use": "sig", "alg": alg}
    if alg.startswith("RS"):
        n = public.public_numbers()
        return {**out, "kty": "RSA", "n": number(n.n), "e": number(n.e)}
    if alg == "ES256":
        n = public.public_numbers()
        return {**out, "kty": "EC", "crv": "P-256", "x": number(n.x, 32), "y": number(n.y, 32)}
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {**out, "kty": "OKP", "crv": "Ed25519", "x": b64(raw)}


def signature(alg, key, text):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
    sha = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
    if alg.startswith("RS"):
        return key.sign(text, padding.PKCS1v15(), sha[alg[2:]]())
    if alg == "ES256":
        r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return key.sign(text)


def serve():
    keys = make_keys()
    state = {"published": [], "status": 200, "maxAge": None, "delay": 0, "extra": [], "calls": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, status, doc, headers=()):
            body = json.dumps(doc).encode()
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            time.sleep(state["delay"])
            base = f"http://127.0.0.1:{self.server.server_port}"
            if self.path == "/.well-known/openid-configuration":
                self.answer(200, {"issuer": base, "jwks_uri": base + "/jwks"})
                return
            state["calls"] += 1
            age = [("Cache-Control", f"public, max-age={state['maxAge']}")] if state["maxAge"] else []
            self.answer(state["status"],
                        {"keys": [jwk(k, *keys[k]) for k in state["published"]] + state["extra"]}, age)

        def do_POST(self):
            what = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/control":
                state.update(what)
                self.answer(200, state)
                return
            alg, key = keys[what["key"]]
            head = {"alg": alg, "typ": "JWT", "kid": what["key"], **what["head"]}
            head = {k: v for k, v in head.items() if v is not None}
            text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(what["claims"]).encode())
            self.answer(200, {"token": text + "." + b64(signature(alg, key, text.encode()))})

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the test closes it


if __name__ == "__main__":
    serve()
