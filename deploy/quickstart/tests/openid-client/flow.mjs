// The whole flow with openid-client: discovery, code with PKCE, state and nonce, ID token, userinfo, the API, refresh, revocation.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const client = await import("openid-client");

const input = JSON.parse(await text(process.stdin));

/** Keeps cookies, follows redirects and fills in plain forms, until it is sent to the redirect URI. */
class Browser {
  cookies = new Map();

  async load(address, form) {
    let url = new URL(address);
    let body = form;
    for (let hops = 0; hops < 10; hops += 1) {
      if (url.href.startsWith(input.redirect_uri)) return { url, html: "" };
      const response = await fetch(url, {
        method: body ? "POST" : "GET",
        body,
        redirect: "manual",
        headers: { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      });
      for (const field of response.headers.getSetCookie()) {
        const [pair, ...attributes] = field.split(/;\s*/);
        const [, name, value] = /^([^=]*)=(.*)$/.exec(pair);
        const ended = value === "" || attributes.some((attribute) => /^max-age=0$/i.test(attribute));
        if (ended) this.cookies.delete(name);
        else this.cookies.set(name, value);
      }
      const location = response.headers.get("location");
      if (!location) return { url, html: await response.text() };
      url = new URL(location, url);
      body = undefined;
    }
    throw new Error("redirected in circles");
  }

  /** Posts the form of this id, its fields as they stand but for `fill`. */
  submit(page, id, fill) {
    const [, attributes, inner] = new RegExp(`<form([^>]*\\sid="${id}"[^>]*)>(.*?)</form>`, "s").exec(page.html);
    const fields = new URLSearchParams();
    for (const [tag] of inner.matchAll(/<input[^>]*>/g)) {
      const name = attribute(tag, "name");
      if (name) fields.set(name, attribute(tag, "value") ?? "");
    }
    for (const [name, value] of Object.entries(fill)) fields.set(name, value);
    return this.load(new URL(attribute(attributes, "action"), page.url), fields);
  }
}

function attribute(tag, name) {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag);
  const named = { lt: "<", gt: ">", quot: '"', amp: "&" };
  return found?.[1].replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (_, hex, decimal, word) =>
    word ? named[word] : String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal)),
  );
}

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

const browser = new Browser();
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
