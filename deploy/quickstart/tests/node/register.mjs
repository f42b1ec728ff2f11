// Registers clients of every authentication method with openid-client and with oauth4webapi, and gets tokens with each.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");
const oauth = await import("oauth4webapi");

const input = JSON.parse(await text(process.stdin));
const issuer = new URL(input.issuer);
const service = { grant_types: ["client_credentials"], response_types: [], redirect_uris: [], scope: input.scope };

const es256 = { name: "ECDSA", namedCurve: "P-256" };
const pair = await crypto.subtle.generateKey(es256, true, ["sign", "verify"]);
const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
const jwks = { keys: [{ kty, crv, x, y, kid: "of-the-script", alg: "ES256", use: "sig" }] };
const privateKey = { key: pair.privateKey, kid: "of-the-script" };

/** A `fetch` that shows a certificate. */
function presenting({ certificate, key }) {
  return (address, options) =>
    new Promise((resolve, reject) => {
      const { method, body } = options;
      const headers = Object.fromEntries(new Headers(options.headers));
      const outgoing = { method, headers, ca: input.mtls.ca, cert: certificate, key };
      const sent = request(address, outgoing, async (response) => {
        const told = await text(response);
        resolve(new Response(told, { status: response.statusCode, headers: response.headers }));
      });
      sent.on("error", reject).end(body?.toString());
    });
}

/** A server that has just started sends assertions away for ten seconds: it cannot tell whether they were used before. */
async function patiently(method, ask) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (cause) {
      const isBusy = cause.cause?.status === 503 && method.endsWith("_jwt");
      if (tries === 15 || !isBusy) throw new Error(method, { cause });
      await setTimeout(1000);
    }
  }
}

const pki = { tls_client_auth_subject_dn: input.mtls?.pki.subject, use_mtls_endpoint_aliases: true };
const selfSigned = { jwks: { keys: [input.mtls?.self_signed.jwk] }, use_mtls_endpoint_aliases: true };

/** What a method registers beside its name, and how each library proves who it is. */
const methods = {
  client_secret_basic: {
    first: (secret) => client.ClientSecretBasic(secret),
    second: (secret) => oauth.ClientSecretBasic(secret),
  },
  client_secret_post: {
    first: (secret) => client.ClientSecretPost(secret),
    second: (secret) => oauth.ClientSecretPost(secret),
  },
  client_secret_jwt: {
    first: (secret) => client.ClientSecretJwt(secret),
    second: (secret) => oauth.ClientSecretJwt(secret),
  },
  private_key_jwt: {
    metadata: { jwks, token_endpoint_auth_signing_alg: "ES256" },
    first: () => client.PrivateKeyJwt(privateKey),
    second: () => oauth.PrivateKeyJwt(privateKey),
  },
  tls_client_auth: {
    metadata: pki,
    first: () => client.TlsClientAuth(),
    second: () => oauth.TlsClientAuth(),
    present: input.mtls?.pki,
  },
  self_signed_tls_client_auth: {
    metadata: selfSigned,
    first: () => client.TlsClientAuth(),
    second: () => oauth.TlsClientAuth(),
    present: input.mtls?.self_signed,
  },
};

const insecure = { [oauth.allowInsecureRequests]: true };
const found = await oauth.discoveryRequest(issuer, insecure);
const server = await oauth.processDiscoveryResponse(issuer, found);
const announced = new Set(server.token_endpoint_auth_methods_supported);
const got = {};

for (const [method, { metadata, first, second, present }] of Object.entries(methods)) {
  assert.ok(announced.delete(method), `${method} is announced`);
  const wanted = { ...service, token_endpoint_auth_method: method, ...metadata };
  const { use_mtls_endpoint_aliases, ...sent } = wanted;
  const certified = present && presenting(present);

  const config = await client.dynamicClientRegistration(issuer, sent, undefined, {
    execute: [client.allowInsecureRequests],
  });
  const { client_id, client_secret } = config.clientMetadata();
  const again = await client.discovery(
    issuer,
    client_id,
    { client_secret, use_mtls_endpoint_aliases },
    first(client_secret),
    { execute: [client.allowInsecureRequests] },
  );
  if (certified) again[client.customFetch] = certified;
  const tokens = await patiently(method, () => client.clientCredentialsGrant(again, { scope: input.scope }));
  assert.equal(tokens.scope, input.scope);
  const revoked = await client.tokenRevocation(again, tokens.access_token);
  assert.equal(revoked, undefined);

  const registered = await oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(server, sent, insecure),
  );
  assert.notEqual(registered.client_id, client_id, "each registration yields a client of its own");
  assert.equal(registered.token_endpoint_auth_method, method);
  const known = { ...registered, use_mtls_endpoint_aliases };
  const options = certified ? { ...insecure, [oauth.customFetch]: certified } : insecure;
  const proof = second(registered.client_secret);
  const answer = await oauth.clientCredentialsGrantRequest(server, known, proof, { scope: input.scope }, options);
  const issued = await oauth.processClientCredentialsResponse(server, known, answer);
  got[method] = { first: tokens.access_token, second: issued.access_token };
}

// A public client signs a person in.
assert.ok(announced.delete("none"), "none is announced");
assert.deepEqual([...announced], [], "every announced method was used");
const config = await client.dynamicClientRegistration(
  issuer,
  {
    client_name: "A client of strangers",
    "client_name#de": "Ein fremder Client",
    application_type: "native",
    redirect_uris: [input.redirect_uri],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
    scope: `openid profile ${input.scope}`,
  },
  client.None(),
  { execute: [client.allowInsecureRequests] },
);
const registered = config.clientMetadata();
assert.equal(registered["client_name#de"], "Ein fremder Client");
assert.equal(registered.client_secret, undefined);
client.enableNonRepudiationChecks(config);
const verifier = client.randomPKCECodeVerifier();
const checks = { expectedState: client.randomState(), expectedNonce: client.randomNonce() };
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: input.redirect_uri,
  scope: `openid profile ${input.scope}`,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state: checks.expectedState,
  nonce: checks.expectedNonce,
});
const browser = new Browser(input.redirect_uri);
let page = await browser.load(address);
page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
page = await browser.submit(page, "consent", { decision: "approve" });
const tokens = await client.authorizationCodeGrant(config, page.url, {
  ...checks,
  pkceCodeVerifier: verifier,
  idTokenExpected: true,
});
got.none = { first: tokens.access_token };

// Management (RFC 7592) is in neither library.
const manage = (method, body) =>
  fetch(registered.registration_client_uri, {
    method,
    headers: {
      authorization: `Bearer ${registered.registration_access_token}`,
      ...(body && { "content-type": "application/json" }),
    },
    body: body && JSON.stringify(body),
  });
const shown = await (await manage("GET")).json();
assert.equal(shown.client_id, registered.client_id);
const gone = await manage("DELETE");
assert.equal(gone.status, 204);
await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), { status: 401 });

console.log(JSON.stringify(got));
