// Signs people in at a server of the FAPI 2.0 Security Profile with openid-client: pushed requests, a client with a key of its own, and tokens
// that are bound to a key (RFC 9449) or to a certificate (RFC 8705). With `signing`, at one of FAPI 2.0 Message Signing: requests, answers
// and introspection are signed too. What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");

const input = JSON.parse(await text(process.stdin));
const issuer = new URL(input.issuer);

const es256 = { name: "ECDSA", namedCurve: "P-256" };
const pair = await crypto.subtle.generateKey(es256, true, ["sign", "verify"]);
const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
const jwk = { kty, crv, x, y, kid: "of-the-client", alg: "ES256", use: "sig" };
const privateKey = { key: pair.privateKey, kid: "of-the-client" };

/** A `fetch` that shows a certificate where one is asked for. */
const presenting = ({ certificate, key }) => (address, options) => {
  if (new URL(address).protocol === "http:") return fetch(address, options);
  return new Promise((resolve, reject) => {
    const { method, body } = options;
    const headers = Object.fromEntries(new Headers(options.headers));
    const outgoing = { method, headers, ca: input.mtls.ca, cert: certificate, key };
    const sent = request(address, outgoing, async (response) => {
      const told = await text(response);
      resolve(new Response(told, { status: response.statusCode, headers: response.headers }));
    });
    sent.on("error", reject).end(body?.toString());
  });
};

/** A server that has just started sends assertions away for ten seconds: it cannot tell whether they were used before. */
async function patiently(ask) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (cause) {
      if (tries === 15 || cause.cause?.status !== 503) throw cause;
      await setTimeout(1000);
    }
  }
}

const scope = "openid profile offline_access profile:read";

/** What a JWT says, whoever signed it. */
const claimsOf = (jwt) => JSON.parse(Buffer.from(jwt.split(".")[1], "base64url"));

/** A client of its own, with this metadata beside what every one has. */
async function register(metadata, proof) {
  const config = await client.dynamicClientRegistration(
    issuer,
    {
      client_name: "A client that takes care",
      application_type: "native",
      redirect_uris: [input.redirect_uri],
      grant_types: ["authorization_code", "refresh_token"],
      scope,
      ...metadata,
    },
    proof,
    { execute: [client.allowInsecureRequests] },
  );
  assert.equal(config.clientMetadata().id_token_signed_response_alg, "ES256", "what it left out is not RS256");
  client.enableNonRepudiationChecks(config);
  if (input.signing) client.useJwtResponseMode(config);
  return config;
}

/** From a request to tokens, and to more of them. */
async function flow(config, options) {
  const verifier = client.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  let parameters = {
    redirect_uri: input.redirect_uri,
    scope,
    resource: input.api,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: checks.expectedState,
    nonce: checks.expectedNonce,
  };
  if (input.signing) {
    await assert.rejects(patiently(() => client.buildAuthorizationUrlWithPAR(config, parameters, options)), {
      error: "invalid_request",
    });
    parameters = (await client.buildAuthorizationUrlWithJAR(config, parameters, privateKey)).searchParams;
  }
  const address = await patiently(() => client.buildAuthorizationUrlWithPAR(config, parameters, options));
  assert.deepEqual([...address.searchParams.keys()].sort(), ["client_id", "request_uri"]);

  const browser = new Browser(input.redirect_uri);
  let page = await browser.load(address);
  page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
  if (page.html) page = await browser.submit(page, "consent", { decision: "approve" });
  if (input.signing) assert.deepEqual([...page.url.searchParams.keys()], ["response"]);

  const tokens = await client.authorizationCodeGrant(config, page.url, { ...checks, idTokenExpected: true }, undefined, options);
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options);
  assert.equal(refreshed.refresh_token, undefined, "refresh tokens are not rotated");
  await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options);
  const told = await client.tokenIntrospection(config, tokens.access_token);
  assert.equal(told.active, true);
  const { cnf } = claimsOf(refreshed.access_token);
  assert.deepEqual(told.cnf, cnf);
  return { tokens, cnf };
}

const byKey = { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] } };
const got = {};

// A key proves the client, another one its tokens.
const proving = await register(byKey, client.PrivateKeyJwt(privateKey));
const server = proving.serverMetadata();
assert.equal(server.require_pushed_authorization_requests, true);
assert.equal(server.require_signed_request_object, Boolean(input.signing));
for (const [field, values] of Object.entries(server)) {
  if (field.includes("auth_methods")) assert.ok(!values.some((method) => /secret|none/.test(method)), field);
  if (field.includes("alg_values")) assert.ok(!values.includes("RS256"), field);
}
const DPoP = client.getDPoPHandle(proving, await client.randomDPoPKeyPair("ES256"));
const proven = await flow(proving, { DPoP });
assert.deepEqual(proven.cnf, { jkt: await DPoP.calculateThumbprint() });
got.proven = proven.tokens.claims().sub;

// The same client without a proof, and a request that was not pushed.
await assert.rejects(client.refreshTokenGrant(proving, proven.tokens.refresh_token), { error: "invalid_dpop_proof" });
const plain = client.buildAuthorizationUrl(proving, { redirect_uri: input.redirect_uri, scope });
const refused = await new Browser(input.redirect_uri).load(plain);
assert.ok(refused.url.href.startsWith(input.redirect_uri), "the client is told so");
if (input.signing) {
  assert.deepEqual([...refused.url.searchParams.keys()], ["response"]);
  const told = claimsOf(refused.url.searchParams.get("response"));
  assert.deepEqual([told.error, told.iss, told.code], ["invalid_request", server.issuer, undefined]);
} else {
  assert.equal(refused.url.searchParams.get("error"), "invalid_request");
  assert.ok(!refused.url.searchParams.has("code"));
}

if (!input.signing) {
  // A certificate proves the client and its tokens.
  const certified = await register(
    {
      token_endpoint_auth_method: "self_signed_tls_client_auth",
      tls_client_certificate_bound_access_tokens: true,
      jwks: { keys: [input.mtls.self_signed.jwk] },
    },
    client.TlsClientAuth(),
  );
  const metadata = { ...certified.clientMetadata(), use_mtls_endpoint_aliases: true };
  const again = await client.discovery(issuer, metadata.client_id, metadata, client.TlsClientAuth(), {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
  again[client.customFetch] = presenting(input.mtls.self_signed);
  const bound = await flow(again, {});
  assert.deepEqual(Object.keys(bound.cnf), ["x5t#S256"]);
  got.certified = bound.tokens.claims().sub;
}

// One that could only send a secret is not let in.
const secret = { token_endpoint_auth_method: "client_secret_basic" };
await assert.rejects(register(secret), { error: "invalid_client_metadata" });

console.log(JSON.stringify(got));
