"""Registers clients and gets tokens with Authlib by each authentication method that it knows.

What to use comes as JSON on standard input; what came of it goes as JSON to standard output.
"""

import json
import sys
import time

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from joserfc.jwk import RSAKey

given = json.load(sys.stdin)
metadata = requests.get(given["issuer"] + "/.well-known/oauth-authorization-server", timeout=10).json()
token_endpoint = metadata["token_endpoint"]
key = RSAKey.generate_key(2048, private=True, auto_kid=False)
public = {**key.as_dict(private=False), "alg": "RS256", "use": "sig"}


def register(method, **more):
    """A client of its own (RFC 7591), told of as the server tells it."""
    wanted = {
        "grant_types": ["client_credentials"],
        "response_types": [],
        "scope": given["scope"],
        "token_endpoint_auth_method": method,
        **more,
    }
    answer = requests.post(metadata["registration_endpoint"], json=wanted, timeout=10)
    assert answer.status_code == 201, answer.text
    return answer.json()


def session(client, secret, method, auth=None):
    made = OAuth2Session(client["client_id"], secret, token_endpoint_auth_method=method, scope=given["scope"])
    if auth:
        made.register_client_auth_method(auth)
    return made


def patiently(ask):
    """A server that has just started sends assertions away for ten seconds: it cannot tell whether they were used before."""
    for _ in range(15):
        try:
            return ask()
        except requests.HTTPError as error:
            if error.response.status_code != 503:
                raise
            time.sleep(1)
    return ask()


tokens = {}
for method in ("client_secret_basic", "client_secret_post"):
    client = register(method)
    tokens[method] = session(client, client["client_secret"], method).fetch_token(token_endpoint)

client = register("client_secret_jwt")
auth = ClientSecretJWT(token_endpoint)
made = session(client, client["client_secret"], "client_secret_jwt", auth)
tokens["client_secret_jwt"] = patiently(lambda: made.fetch_token(token_endpoint))

client = register("private_key_jwt", jwks={"keys": [public]})
auth = PrivateKeyJWT(token_endpoint)
signed = session(client, key, "private_key_jwt", auth)
tokens["private_key_jwt"] = patiently(lambda: signed.fetch_token(token_endpoint))

json.dump({method: token["access_token"] for method, token in tokens.items()}, sys.stdout)
