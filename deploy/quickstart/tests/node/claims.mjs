// What openid-client is told of a person: by scope and claim by claim, signed and encrypted by every algorithm that is announced, under
// pairwise subjects; and the metadata as it signs itself.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");
const jose = await import("jose");

const input = JSON.parse(await text(process.stdin));
const issuer = new URL(input.issuer);
const redirect = "https://app.example/callback";
const everything = "openid profile email address phone";
const browser = new Browser(redirect);
const insecure = { execute: [client.allowInsecureRequests] };

/** Registers a client, signs the person in at it, and gets what it is told of them. */
async function told(metadata, { scope = everything, claims, decrypt } = {}) {
  const redirectUri = metadata.redirect_uris?.[0] ?? redirect;
  const wanted = {
    redirect_uris: [redirectUri],
    grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "client_secret_post",
    scope: `${everything} offline_access`,
    ...metadata,
  };
  const config = await client.dynamicClientRegistration(issuer, wanted, undefined, insecure);
  const registered = config.clientMetadata();
  for (const [name, value] of Object.entries(metadata)) assert.deepEqual(registered[name], value, name);
  client.enableNonRepudiationChecks(config);
  if (decrypt) client.enableDecryptingResponses(config, ["A256GCM"], decrypt);

  const verifier = client.randomPKCECodeVerifier();
  const checks = { expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  const parameters = {
    redirect_uri: redirectUri,
    scope: `${scope} offline_access`,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: checks.expectedState,
    nonce: checks.expectedNonce,
  };
  if (claims) parameters.claims = JSON.stringify(claims);
  browser.redirectUri = redirectUri;
  let page = await browser.load(client.buildAuthorizationUrl(config, parameters));
  if (page.html.includes('id="sign-in"')) {
    page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
  }
  const consent = page.html;
  page = await browser.submit(page, "consent", { decision: "approve" });
  const tokens = await client.authorizationCodeGrant(config, page.url, {
    ...checks,
    pkceCodeVerifier: verifier,
    idTokenExpected: true,
  });
  const idToken = tokens.claims();
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, idToken.sub);
  assert.equal(userinfo.sub, idToken.sub);
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
  assert.equal(refreshed.claims().sub, idToken.sub);
  return { idToken, userinfo, consent, raw: tokens.id_token };
}

const metadata = (await client.discovery(issuer, "nobody", undefined, undefined, insecure)).serverMetadata();
// Keys of one algorithm sign at once; the metadata says which.
const [first] = metadata.id_token_signing_alg_values_supported;
const signed = { id_token_signed_response_alg: first };

// By scope.
const plain = (await told(signed)).userinfo;
for (const claim of ["name", "birthdate", "zoneinfo", "email", "phone_number", "address", "updated_at"]) {
  assert.ok(metadata.claims_supported.includes(claim), claim);
  assert.ok(plain[claim], claim);
}

// Claim by claim.
assert.equal(metadata.claims_parameter_supported, true);
const asked = { userinfo: { nickname: { essential: true } }, id_token: { birthdate: null, "locale#de": null } };
const singly = await told(signed, { scope: "openid", claims: asked });
assert.deepEqual(Object.keys(singly.userinfo).sort(), ["nickname", "sub"]);
assert.equal(singly.idToken.birthdate, plain.birthdate);
assert.equal(singly.idToken.locale, plain.locale);
assert.ok(singly.consent.includes("See your nickname") && singly.consent.includes("See your birth date"));

// Signed.
const algorithms = metadata.userinfo_signing_alg_values_supported;
assert.ok(algorithms.length > 0);
for (const alg of algorithms) {
  const { userinfo, raw } = await told({ userinfo_signed_response_alg: alg, id_token_signed_response_alg: alg });
  const { iss, aud, ...rest } = userinfo;
  assert.equal(iss, input.issuer);
  assert.ok(aud);
  assert.deepEqual(rest, plain, alg);
  assert.equal(jose.decodeProtectedHeader(raw).alg, alg);
}

// Encrypted, and signed too.
const kinds = {
  "ECDH-ES": [{ name: "ECDH", namedCurve: "P-256" }, ["deriveBits"]],
  "RSA-OAEP-256": [
    { name: "RSA-OAEP", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
    ["decrypt", "encrypt"],
  ],
};
const encrypting = new Set([
  ...metadata.id_token_encryption_alg_values_supported,
  ...metadata.userinfo_encryption_alg_values_supported,
]);
assert.deepEqual([...encrypting].sort(), Object.keys(kinds).sort());
for (const alg of encrypting) {
  const [kind, uses] = kinds[alg];
  const pair = await crypto.subtle.generateKey(kind, true, uses);
  const jwk = { ...(await jose.exportJWK(pair.publicKey)), kid: alg, use: "enc", alg };
  const { idToken, userinfo, raw } = await told(
    {
      ...signed,
      jwks: { keys: [jwk] },
      id_token_encrypted_response_alg: alg,
      id_token_encrypted_response_enc: "A256GCM",
      userinfo_signed_response_alg: first,
      userinfo_encrypted_response_alg: alg,
      userinfo_encrypted_response_enc: "A256GCM",
    },
    { decrypt: { key: pair.privateKey, kid: alg } },
  );
  assert.equal(raw.split(".").length, 5, "a JWE");
  assert.deepEqual(jose.decodeProtectedHeader(raw).cty, "JWT");
  assert.equal(idToken.sub, plain.sub);
  assert.equal(userinfo.nickname, plain.nickname);
}

// Names of their own.
assert.deepEqual(metadata.subject_types_supported, ["public", "pairwise"]);
const at = async (redirectUri) => {
  const { idToken, userinfo } = await told({ ...signed, subject_type: "pairwise", redirect_uris: [redirectUri] });
  assert.equal(userinfo.sub, idToken.sub);
  return userinfo;
};
const pairwise = await at("https://one.example/callback");
const sister = await at("https://one.example/another");
const stranger = await at("https://two.example/callback");

// The metadata, by its own keys.
const { signed_metadata, ...members } = metadata;
const keys = jose.createRemoteJWKSet(new URL(metadata.jwks_uri));
const { payload } = await jose.jwtVerify(signed_metadata, keys, { issuer: input.issuer });
const { iss, ...said } = payload;
assert.deepEqual(said, JSON.parse(JSON.stringify(members)));

console.log(JSON.stringify({ plain, pairwise, sister, stranger }));
