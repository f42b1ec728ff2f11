"""An issuer and a client in one: makes assertions with Authlib (RFC 7523 section 2.1) and gets tokens for them.

What to use comes as JSON on standard input; what came of it goes as JSON to standard output.
"""

import json
import sys
import time

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import JWTBearerGrant
from joserfc.jwk import OKPKey

given = json.load(sys.stdin)
metadata = requests.get(given["issuer"] + "/.well-known/oauth-authorization-server", timeout=10).json()
key = OKPKey.import_key(given["key"])


def assertion(header, **claims):
    return JWTBearerGrant.sign(
        key, given["trusted"], given["issuer"], given["subject"], expires_at=int(time.time()) + 300,
        claims=claims, header={"alg": "EdDSA", **header},
    )


def fetch(assertion, **more):
    session = OAuth2Session(given["client_id"], given["client_secret"], token_endpoint_auth_method="client_secret_basic")
    return session.fetch_token(
        metadata["token_endpoint"], grant_type=JWTBearerGrant.GRANT_TYPE, assertion=assertion, **more
    )


def patiently(ask):
    """A server that has just started sends assertions away for ten seconds: it cannot tell whether they were used before."""
    for _ in range(15):
        try:
            return ask()
        except OAuthError as error:
            if error.error not in ("invalid_grant", "unsupported_grant_type"):
                raise
            time.sleep(1)
        except requests.HTTPError as error:
            if error.response.status_code != 503:
                raise
            time.sleep(1)
    return ask()


told = patiently(lambda: fetch(assertion({}), scope=given["scope"]))
spent = assertion({})
fetch(spent)
try:
    fetch(spent)
    again = "a token"
except OAuthError as error:
    again = error.error
api = requests.get(given["api"], headers={"Authorization": "Bearer " + told["access_token"]}, timeout=10)
told = {name: told.get(name) for name in ("token_type", "scope", "refresh_token", "id_token")}
json.dump({**told, "again": again, "status": api.status_code, "api": api.json()}, sys.stdout)
