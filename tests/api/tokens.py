"""Signed tokens for tests."""
import base64
import hashlib
import hmac
import json
import time

SECRET = "0123456789abcdef0123456789abcdef-test"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(sub="tester", role="admin", secret=SECRET, **more):
    body = {"sub": sub, "role": role, "exp": int(time.time()) + 600, "iat": int(time.time()), **more}
    text = b64(b'{"alg":"HS256","typ":"JWT"}') + "." + b64(json.dumps(body).encode())
    return text + "." + b64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def bearer(sub, role="analyst", **more):
    return {"Authorization": "Bearer " + token(sub, role, **more)}
