// Signs a person in with openid-client, then out by RP-Initiated Logout, and checks with jose what the client is told by the back channel.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");
const jose = await import("jose");

const input = JSON.parse(await text(process.stdin));
const issuer = new URL(input.issuer);

// Where the client hears of sign-outs.
const heard = [];
const server = createServer(async (request, response) => {
  heard.push({
    method: request.method,
    path: request.url,
    type: request.headers["content-type"],
    form: new URLSearchParams(await text(request)),
  });
  response.writeHead(200, { "cache-control": "no-store" }).end();
});
await once(server.listen(0, "127.0.0.1"), "listening");
const own = `http://127.0.0.1:${server.address().port}`;

const config = await client.dynamicClientRegistration(
  issuer,
  {
    application_type: "native",
    redirect_uris: [`${own}/callback`],
    post_logout_redirect_uris: [`${own}/bye`],
    backchannel_logout_uri: `${own}/out`,
    backchannel_logout_session_required: true,
    token_endpoint_auth_method: "none",
    id_token_signed_response_alg: "ES256",
    scope: "openid",
  },
  client.None(),
  { execute: [client.allowInsecureRequests] },
);
const metadata = config.serverMetadata();
assert.equal(metadata.backchannel_logout_supported, true);
assert.equal(metadata.backchannel_logout_session_supported, true);
const { client_id } = config.clientMetadata();

const browser = new Browser(`${own}/`);
async function authorize(more) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: `${own}/callback`,
    scope: "openid",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    ...more,
  });
  return { address, checks: { pkceCodeVerifier: verifier, expectedState: state, idTokenExpected: true } };
}

const { address, checks } = await authorize({});
let page = await browser.load(address);
page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
page = await browser.submit(page, "consent", { decision: "approve" });
const tokens = await client.authorizationCodeGrant(config, page.url, checks);
const { sub, sid } = tokens.claims();

const state = client.randomState();
const leave = client.buildEndSessionUrl(config, {
  id_token_hint: tokens.id_token,
  post_logout_redirect_uri: `${own}/bye`,
  state,
});
const left = await browser.load(leave);
assert.equal(left.url.href, `${own}/bye?state=${state}`);

// By the time of the redirect the client has been told, once.
assert.equal(heard.length, 1);
const [{ method, path, type, form }] = heard;
assert.deepEqual([method, path, type], ["POST", "/out", "application/x-www-form-urlencoded"]);
assert.deepEqual([...form.keys()], ["logout_token"]);
const keys = jose.createRemoteJWKSet(new URL(metadata.jwks_uri));
const { payload, protectedHeader } = await jose.jwtVerify(form.get("logout_token"), keys, {
  issuer: metadata.issuer,
  audience: client_id,
  typ: "logout+jwt",
  algorithms: ["ES256"],
  requiredClaims: ["iss", "aud", "iat", "exp", "jti", "events", "sub", "sid"],
});
assert.deepEqual(payload.events, { "http://schemas.openid.net/event/backchannel-logout": {} });
assert.deepEqual([payload.sub, payload.sid], [sub, sid]);
assert.equal(payload.nonce, undefined);
assert.equal(payload.exp - payload.iat, 120);

// And nobody is signed in there any more.
const silent = await authorize({ prompt: "none" });
const answer = await browser.load(silent.address);
assert.equal(answer.url.searchParams.get("error"), "login_required");
await assert.rejects(client.fetchUserInfo(config, tokens.access_token, sub));

server.close();
server.closeAllConnections();
console.log(JSON.stringify({ header: protectedHeader, claims: payload }));
