// Rich authorization requests (RFC 9396) and resource indicators (RFC 8707) with openid-client, against the example route of the API.
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

const config = await client.discovery(issuer, input.app, undefined, client.None(), insecure);
client.enableNonRepudiationChecks(config);
const known = config.serverMetadata().authorization_details_types_supported;
assert.ok(known.includes("profile_fields"), "the type is announced");
const described = await fetch(new URL("/.well-known/oauth-protected-resource", input.api));
assert.deepEqual((await described.json()).authorization_details_types_supported, ["profile_fields"]);

const browser = new Browser(input.redirect_uri);

/** Sends the person through the authorization endpoint, to where the answer goes. */
async function authorize(parameters, shown = []) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: input.redirect_uri,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
  });
  for (const [name, value] of parameters) address.searchParams.append(name, value);
  let page = await browser.load(address);
  if (page.html.includes('id="sign-in"')) {
    page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
  }
  for (const words of shown) assert.ok(page.html.includes(words), `${words} is shown`);
  if (page.html.includes('id="consent"')) page = await browser.submit(page, "consent", { decision: "approve" });
  assert.ok(page.url.href.startsWith(input.redirect_uri), "sent back to the client");
  return (tokenParameters) =>
    client.authorizationCodeGrant(
      config,
      page.url,
      { pkceCodeVerifier: verifier, expectedState: state },
      tokenParameters,
    );
}

const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());

async function field(token, name) {
  const url = new URL(`/api/v1/users/me/fields/${name}`, input.api);
  return (await client.fetchProtectedResource(config, token, url, "GET")).json();
}

/** What the API says is missing, read by the library. */
async function missing(token, name) {
  const url = new URL(`/api/v1/users/me/fields/${name}`, input.api);
  try {
    await client.fetchProtectedResource(config, token, url, "GET");
  } catch (error) {
    assert.equal(error.status, 403);
    const [{ scheme, parameters }] = error.cause;
    assert.equal(scheme, "bearer");
    assert.equal(parameters.error, "insufficient_scope");
    return parameters.authorization_details;
  }
  assert.fail(`${name} was read`);
}

// A token for a scope alone says too little for the route, and the challenge says what to ask for.
const plain = await (await authorize([["scope", "openid profile:read"]]))();
assert.equal(plain.authorization_details, undefined);
const needed = await missing(plain.access_token, "sub");
assert.deepEqual(JSON.parse(needed), [{ type: "profile_fields", actions: ["read"], datatypes: ["sub"] }]);

// Asked for, shown, approved, granted, and enough: without any scope.
const rich = await (await authorize([["authorization_details", needed]], [
  "Read single fields of your profile",
  "<bdi>sub</bdi>",
]))();
assert.deepEqual(rich.authorization_details, JSON.parse(needed));
assert.equal(rich.scope, undefined);
const { aud, authorization_details } = claims(rich.access_token);
assert.equal(aud, input.api);
assert.deepEqual(authorization_details, JSON.parse(needed));
const sub = await field(rich.access_token, "sub");
assert.deepEqual(sub, { field: "sub", value: claims(rich.access_token).sub });
await missing(rich.access_token, "id");

// Two objects: all by the code, one by the refresh token, both again after that, and never another.
const one = { type: "profile_fields", datatypes: ["sub"] };
const other = { type: "profile_fields", datatypes: ["id", "created_at"], locations: [input.api] };
const two = await (await authorize([
  ["scope", "openid"],
  ["authorization_details", JSON.stringify([one, other])],
]))();
assert.deepEqual(two.authorization_details, [one, other]);
const narrow = { authorization_details: JSON.stringify([other]) };
const narrowed = await client.refreshTokenGrant(config, two.refresh_token, narrow);
assert.deepEqual(narrowed.authorization_details, [other]);
await missing(narrowed.access_token, "sub");
const { value: id } = await field(narrowed.access_token, "id");
// By its type fewer fields are less.
const single = [{ ...other, datatypes: ["created_at"] }];
const fewer = { authorization_details: JSON.stringify(single) };
const least = await client.refreshTokenGrant(config, narrowed.refresh_token, fewer);
assert.deepEqual(least.authorization_details, single);
await missing(least.access_token, "id");
const whole = await client.refreshTokenGrant(config, least.refresh_token);
assert.deepEqual(whole.authorization_details, [one, other]);
assert.equal((await field(whole.access_token, "sub")).value, sub.value);
const invalid = { error: "invalid_authorization_details", status: 400 };
for (const more of [
  [{ type: "profile_fields", datatypes: ["sub", "iss"] }],
  [{ type: "profile_fields", datatypes: ["id"] }],
  [{ type: "unknown" }],
  [],
]) {
  const wider = { authorization_details: JSON.stringify(more) };
  await assert.rejects(client.refreshTokenGrant(config, whole.refresh_token, wider), invalid);
}
for (const raw of [
  '[{"type":"unknown"}]',
  '[{"type":"profile_fields"}]',
  '[{"type":"profile_fields","datatypes":["password"]}]',
  `[{"type":"profile_fields","datatypes":["sub"],"locations":["${input.second}"]}]`,
  "{}",
]) {
  const answered = await authorize([["authorization_details", raw]]);
  await assert.rejects(answered(), { error: "invalid_authorization_details" });
}

// Resource indicators: two at the authorization endpoint, one for each token.
const both = await authorize([
  ["scope", "openid profile:read reports:read"],
  ["resource", input.api],
  ["resource", input.second],
]);
const first = await both({ resource: input.second });
assert.deepEqual([claims(first.access_token).aud, claims(first.access_token).scope], [input.second, "reports:read"]);
const next = await client.refreshTokenGrant(config, first.refresh_token, { resource: input.api });
assert.deepEqual([claims(next.access_token).aud, claims(next.access_token).scope], [input.api, "profile:read"]);
const told = await client.fetchUserInfo(config, next.access_token, claims(next.access_token).sub);
const target = { error: "invalid_target", status: 400 };
for (const resource of ["https://unknown.example", `${input.api}/#fragment`, "/relative"]) {
  await assert.rejects(client.refreshTokenGrant(config, next.refresh_token, { resource }), target);
}
const several = new URLSearchParams([
  ["resource", input.api],
  ["resource", input.second],
]);
await assert.rejects(client.refreshTokenGrant(config, next.refresh_token, several), target);
for (const resource of ["https://unknown.example", `${input.api}#fragment`, "relative"]) {
  const answered = await authorize([["resource", resource]]);
  await assert.rejects(answered(), { error: "invalid_target" });
}

// A service asks for itself, and has no profile.
const { client_id, client_secret } = input.service;
const proof = client.ClientSecretBasic(client_secret);
const service = await client.discovery(issuer, client_id, undefined, proof, insecure);
const own = await client.clientCredentialsGrant(service, { authorization_details: JSON.stringify([one]) });
assert.deepEqual(own.authorization_details, [one]);
assert.equal(own.scope, undefined);
const introspected = await client.tokenIntrospection(service, own.access_token);
assert.deepEqual(introspected.authorization_details, [one]);
const url = new URL("/api/v1/users/me/fields/sub", input.api);
const refused = await client.fetchProtectedResource(service, own.access_token, url, "GET");
assert.equal(refused.status, 404);

console.log(JSON.stringify({ sub: sub.value, id, userinfo: told }));
