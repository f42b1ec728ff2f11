// Sends authorization requests in every way with openid-client: pushed (RFC 9126), signed (RFC 9101), both, and answered by a JWT (JARM).
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");

const input = JSON.parse(await text(process.stdin));
const issuer = new URL(input.issuer);

const es256 = { name: "ECDSA", namedCurve: "P-256" };
const pair = await crypto.subtle.generateKey(es256, true, ["sign", "verify"]);
const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
const signingKey = { key: pair.privateKey, kid: "of-requests" };

/** A client of its own, with this metadata beside what every one has. */
async function register(metadata) {
  const config = await client.dynamicClientRegistration(
    issuer,
    {
      client_name: "A client that takes care",
      application_type: "native",
      token_endpoint_auth_method: "client_secret_post",
      redirect_uris: [input.redirect_uri],
      scope: "openid profile",
      jwks: { keys: [{ kty, crv, x, y, kid: "of-requests", alg: "ES256", use: "sig" }] },
      ...metadata,
    },
    undefined,
    { execute: [client.allowInsecureRequests] },
  );
  client.enableNonRepudiationChecks(config);
  return config;
}

/** Signs the person in where `build` says, and redeems the code. */
async function flow(config, build) {
  const verifier = client.randomPKCECodeVerifier();
  const checks = { expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  const address = await build({
    redirect_uri: input.redirect_uri,
    scope: "openid profile",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: checks.expectedState,
    nonce: checks.expectedNonce,
  });
  const browser = new Browser(input.redirect_uri);
  let page = await browser.load(address);
  // As somebody does who is unsure: the request goes on.
  page = await browser.load(address);
  page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
  if (page.html) page = await browser.submit(page, "consent", { decision: "approve" });
  const tokens = await client.authorizationCodeGrant(config, page.url, {
    ...checks,
    pkceCodeVerifier: verifier,
    idTokenExpected: true,
  });
  return { address, answer: [...page.url.searchParams.keys()], claims: tokens.claims() };
}

const got = {};

const pushing = await register({ require_pushed_authorization_requests: true });
const pushed = await flow(pushing, (parameters) => client.buildAuthorizationUrlWithPAR(pushing, parameters));
assert.deepEqual([...pushed.address.searchParams.keys()].sort(), ["client_id", "request_uri"]);
got.pushed = pushed.claims.sub;
const plain = client.buildAuthorizationUrl(pushing, { redirect_uri: input.redirect_uri, scope: "openid" });
const refused = await new Browser(input.redirect_uri).load(plain);
assert.equal(refused.url.searchParams.get("error"), "invalid_request");

const signing = await register({ request_object_signing_alg: "ES256", require_signed_request_object: true });
const signed = await flow(signing, (parameters) => client.buildAuthorizationUrlWithJAR(signing, parameters, signingKey));
assert.deepEqual([...signed.address.searchParams.keys()].sort(), ["client_id", "request"]);
got.signed = signed.claims.sub;

const both = await flow(signing, async (parameters) => {
  const { searchParams } = await client.buildAuthorizationUrlWithJAR(signing, parameters, signingKey);
  return client.buildAuthorizationUrlWithPAR(signing, searchParams);
});
assert.deepEqual([...both.address.searchParams.keys()].sort(), ["client_id", "request_uri"]);
got.both = both.claims.sub;

for (const alg of ["ES256", "RS256"]) {
  const answered = await register({ authorization_signed_response_alg: alg });
  client.useJwtResponseMode(answered);
  const byJwt = await flow(answered, (parameters) => client.buildAuthorizationUrlWithPAR(answered, parameters));
  assert.deepEqual(byJwt.answer, ["response"]);
  got[`answered by ${alg}`] = byJwt.claims.sub;
}

console.log(JSON.stringify(got));
