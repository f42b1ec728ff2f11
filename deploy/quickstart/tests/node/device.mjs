// A device with openid-client (RFC 8628): it is let in, kept out, and asks in vain; a person decides in a browser without scripts.
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
client.enableNonRepudiationChecks(config);

const browser = new Browser("http://127.0.0.1:9/");

/** What a person does who reads the code off the device. */
async function decide(address, code, decision) {
  let page = await browser.load(address);
  if (page.html.includes('id="sign-in"')) {
    page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
  }
  page = await browser.submit(page, "enter-code", code ? { user_code: code } : {});
  page = await browser.submit(page, "consent", { decision });
  const told = decision === "approve" ? "device-approved" : "device-denied";
  assert.ok(page.html.includes(`id="${told}"`), told);
}

const begin = () =>
  client.initiateDeviceAuthorization(config, { scope: "openid email offline_access profile:read", resource: input.api });

// The code is typed, in lower case and without the hyphen.
let asked = await begin();
let polled = client.pollDeviceAuthorizationGrant(config, asked);
await decide(asked.verification_uri, asked.user_code.toLowerCase().replace("-", ""), "approve");
const tokens = await polled;
const claims = tokens.claims();
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const url = new URL("/api/v1/users/me", input.api);
const me = await (await client.fetchProtectedResource(config, tokens.access_token, url, "GET")).json();
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
assert.ok(refreshed.access_token);
await assert.rejects(client.pollDeviceAuthorizationGrant(config, asked), { error: "invalid_grant" });
await assert.rejects(client.refreshTokenGrant(config, refreshed.refresh_token), { error: "invalid_grant" });

// It comes with the link, and the person says no.
asked = await begin();
polled = client.pollDeviceAuthorizationGrant(config, asked);
const denied = assert.rejects(polled, { error: "access_denied" });
await decide(asked.verification_uri_complete, undefined, "deny");
await denied;

console.log(JSON.stringify({ claims, userinfo, me }));
