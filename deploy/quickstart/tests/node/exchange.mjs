// Token exchange (RFC 8693) with openid-client: the API's service acts for a person at the next service, until the person's token is revoked.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");

const input = JSON.parse(await text(process.stdin));
const insecure = { execute: [client.allowInsecureRequests] };
const issuer = new URL(input.issuer);
const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
const accessToken = "urn:ietf:params:oauth:token-type:access_token";

const app = await client.discovery(issuer, input.app, undefined, client.None(), insecure);
const { client_id, client_secret } = input.service;
const basic = client.ClientSecretBasic(client_secret);
const service = await client.discovery(issuer, client_id, undefined, basic, insecure);
assert.ok(service.serverMetadata().grant_types_supported.includes(grant), "the grant is announced");

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const address = client.buildAuthorizationUrl(app, {
  redirect_uri: input.redirect_uri,
  scope: "openid profile:read",
  resource: input.api,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
const browser = new Browser(input.redirect_uri);
let page = await browser.load(address);
page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
page = await browser.submit(page, "consent", { decision: "approve" });
const tokens = await client.authorizationCodeGrant(app, page.url, {
  pkceCodeVerifier: verifier,
  expectedState: state,
});

const exchange = (parameters) =>
  client.genericGrantRequest(service, grant, {
    subject_token: tokens.access_token,
    subject_token_type: accessToken,
    ...parameters,
  });
const exchanged = await exchange({ resource: input.second });
assert.equal(exchanged.issued_token_type, accessToken);
assert.equal(exchanged.scope, "reports:read");
assert.ok(exchanged.expires_in <= tokens.expires_in, "it ends no later");
const seen = await client.tokenIntrospection(service, exchanged.access_token);
assert.equal(seen.active, true);
await assert.rejects(exchange({ resource: input.second, scope: "profile:write" }), { error: "invalid_scope" });
await assert.rejects(exchange({ resource: "https://elsewhere.example" }), { error: "invalid_target" });

await client.tokenRevocation(app, tokens.access_token);
const dead = await client.tokenIntrospection(service, exchanged.access_token);
assert.equal(dead.active, false, "it dies with the token that it was exchanged for");
await assert.rejects(exchange({ resource: input.second }), { error: "invalid_request" });

console.log(JSON.stringify({ seen }));
