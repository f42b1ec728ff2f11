// Tokens that are bound to a key (RFC 9449) with openid-client, at servers that each want a nonce of their own in every proof.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");

const input = JSON.parse(await text(process.stdin));
const got = {};

for (const alg of ["ES256", "EdDSA"]) {
  const config = await client.dynamicClientRegistration(
    new URL(input.issuer),
    {
      client_name: "A client with a key",
      application_type: "native",
      redirect_uris: [input.redirect_uri],
      grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "none",
      scope: "openid profile offline_access profile:read",
      dpop_bound_access_tokens: true,
    },
    client.None(),
    { execute: [client.allowInsecureRequests] },
  );
  assert.equal(config.clientMetadata().dpop_bound_access_tokens, true);
  assert.ok(config.serverMetadata().dpop_signing_alg_values_supported.includes(alg));

  // Counts what is asked, to see each challenge.
  let asked = 0;
  config[client.customFetch] = (...request) => {
    asked += 1;
    return fetch(...request);
  };
  const pair = await client.randomDPoPKeyPair(alg);
  const DPoP = client.getDPoPHandle(config, pair);
  const jkt = await DPoP.calculateThumbprint();

  const verifier = client.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), idTokenExpected: true };
  const parameters = {
    redirect_uri: input.redirect_uri,
    scope: "openid profile offline_access profile:read",
    resource: input.api,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: checks.expectedState,
  };
  // One pushes with a proof, the other only names its key.
  const pushes = alg === "ES256";
  const address = pushes
    ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
    : client.buildAuthorizationUrl(config, { ...parameters, dpop_jkt: jkt });
  assert.equal(asked, pushes ? 2 : 0, "the first proof has no nonce yet");

  const browser = new Browser(input.redirect_uri);
  let page = await browser.load(address);
  page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
  page = await browser.submit(page, "consent", { decision: "approve" });

  asked = 0;
  const tokens = await client.authorizationCodeGrant(config, page.url, checks, undefined, { DPoP });
  assert.equal(asked, pushes ? 1 : 2, "a challenge spends no code");
  assert.equal(tokens.token_type, "dpop");
  const claims = JSON.parse(Buffer.from(tokens.access_token.split(".")[1], "base64url"));
  assert.deepEqual(claims.cnf, { jkt });

  asked = 0;
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  assert.equal(asked, 1, "the nonce came with the answer before");
  assert.equal(refreshed.token_type, "dpop");
  assert.equal(refreshed.refresh_token, undefined, "a bound refresh token is not rotated");

  const other = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg));
  for (const [options, error] of [
    [{}, "invalid_dpop_proof"],
    [{ DPoP: other }, "invalid_grant"],
  ]) {
    await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token, undefined, options), { error });
  }
  await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });

  // Who comes anew with the same key is challenged by each server once.
  const anew = { DPoP: client.getDPoPHandle(config, pair) };
  const { sub } = tokens.claims();
  const url = new URL("/api/v1/users/me", input.api);
  const userinfo = (options) => client.fetchUserInfo(config, tokens.access_token, sub, options);
  const me = (options) =>
    client.fetchProtectedResource(config, tokens.access_token, url, "GET", undefined, undefined, options);
  for (const [read, subject] of [
    [userinfo, (told) => told.sub],
    [me, async (response) => (await response.json()).sub],
  ]) {
    for (const expected of [2, 1]) {
      asked = 0;
      assert.equal(await subject(await read(anew)), sub);
      assert.equal(asked, expected, "one challenge, and its nonce is kept");
    }
    // Under the scheme Bearer, and with another key.
    for (const options of [undefined, { DPoP: other }]) {
      await assert.rejects(read(options), ({ status }) => status === 401);
    }
  }
  got[alg] = sub;
}

console.log(JSON.stringify(got));
