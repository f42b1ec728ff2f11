// The whole flow with openid-client: discovery, code with PKCE, state and nonce, ID token, userinfo, the API, refresh, revocation.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");

const input = JSON.parse(await text(process.stdin));

const config = await client.discovery(new URL(input.issuer), input.client_id, undefined, client.None(), {
  execute: [client.allowInsecureRequests],
});
// Signatures too, although the tokens come from the endpoint itself.
client.enableNonRepudiationChecks(config);

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const nonce = client.randomNonce();
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: input.redirect_uri,
  scope: "openid profile email offline_access profile:read",
  resource: input.api,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
  nonce,
});

const browser = new Browser(input.redirect_uri);
let page = await browser.load(address);
page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
page = await browser.submit(page, "consent", { decision: "approve" });
assert.ok(page.url.href.startsWith(input.redirect_uri), "sent back to the client");

const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
const tokens = await client.authorizationCodeGrant(config, page.url, checks);
const claims = tokens.claims();
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const me = async (token) => {
  const url = new URL("/api/v1/users/me", input.api);
  return (await client.fetchProtectedResource(config, token, url, "GET")).json();
};
const first = await me(tokens.access_token);

const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
assert.notEqual(refreshed.refresh_token, tokens.refresh_token, "a public client's refresh token is rotated");
const second = await me(refreshed.access_token);
assert.deepEqual(second, first);

await client.tokenRevocation(config, refreshed.refresh_token);
for (const dead of [tokens.refresh_token, refreshed.refresh_token]) {
  await assert.rejects(client.refreshTokenGrant(config, dead), { error: "invalid_grant" });
}
await assert.rejects(client.authorizationCodeGrant(config, page.url, checks), { error: "invalid_grant" });

console.log(JSON.stringify({ claims, userinfo, me: first }));
