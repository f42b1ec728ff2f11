// An agent on the official MCP SDK: it knows the address of an MCP server and nothing else, finds who issues tokens for it, becomes a
// client there, has a person sign in, and calls tools.
// What to use comes as JSON on standard input; what came of it goes as JSON to standard output.

import assert from "node:assert/strict";
import { randomUUID, webcrypto } from "node:crypto";
import { createServer } from "node:https";
import { text } from "node:stream/consumers";

import { Browser } from "./browser.mjs";

// Node 18, which Debian 12 has, keeps it apart.
globalThis.crypto ??= webcrypto;
const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { UnauthorizedError } = await import("@modelcontextprotocol/sdk/client/auth.js");

const input = JSON.parse(await text(process.stdin));
const metadata = {
  client_name: "An agent",
  redirect_uris: [input.redirect_uri],
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
  token_endpoint_auth_method: "none",
  application_type: "native",
};

/** What an agent keeps of one MCP server, and how it sends its person to a browser. */
class Keeper {
  redirectUrl = input.redirect_uri;
  clientMetadata = metadata;
  /** Forgotten, by kind. */
  invalidated = [];

  constructor(clientMetadataUrl) {
    this.clientMetadataUrl = clientMetadataUrl;
  }
  state() {
    this.expectedState = randomUUID();
    return this.expectedState;
  }
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    if (!this.withholds || !this.kept) return this.kept;
    const { refresh_token, ...others } = this.kept;
    return others;
  }
  saveTokens(tokens) {
    this.kept = tokens;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  saveDiscoveryState(found) {
    this.found = found;
  }
  invalidateCredentials(kind) {
    this.invalidated.push(kind);
    if (kind === "all") this.client = undefined;
    this.kept = undefined;
  }
  redirectToAuthorization(address) {
    this.address = address;
  }
}

const browser = new Browser(input.redirect_uri);
let consents = 0;

/** Signs in if asked, agrees if asked, and comes back with a code that is this authorization server's (RFC 9207 §2.4). */
async function authorize(keeper) {
  const asked = keeper.address;
  assert.equal(asked.searchParams.get("resource"), input.url);
  assert.equal(asked.searchParams.get("code_challenge_method"), "S256");
  let page = await browser.load(asked);
  if (page.html.includes('id="sign-in"')) {
    page = await browser.submit(page, "sign-in", { email: input.email, password: input.password });
  }
  if (page.html.includes('id="consent"')) {
    consents += 1;
    keeper.consent = page.html;
    page = await browser.submit(page, "consent", { decision: "approve" });
  }
  const answer = page.url.searchParams;
  assert.equal(answer.get("error"), null, page.url.href);
  assert.equal(answer.get("state"), keeper.expectedState);
  assert.equal(answer.get("iss"), keeper.found.authorizationServerMetadata.issuer);
  return answer.get("code");
}

/** A client that is let in, after its person was asked if need be. */
async function connect(keeper) {
  for (;;) {
    const client = new Client({ name: "agent", version: "1" });
    const transport = new StreamableHTTPClientTransport(new URL(input.url), { authProvider: keeper });
    try {
      await client.connect(transport);
      return { client, transport };
    } catch (refused) {
      if (!(refused instanceof UnauthorizedError)) throw refused;
      await transport.finishAuth(await authorize(keeper));
    }
  }
}

async function call({ client }, name) {
  const { content } = await client.callTool({ name });
  return JSON.parse(content[0].text);
}

/** Serves the description of a client, and tells where. */
async function publish() {
  const server = createServer(input.site, (request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ client_id: address, client_uri: new URL("/", address), ...metadata }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const address = `https://127.0.0.1:${server.address().port}/agent.json`;
  return address;
}

const keeper = new Keeper(input.site && (await publish()));
const agent = await connect(keeper);
const announced = keeper.found.authorizationServerMetadata;
assert.equal(announced.authorization_response_iss_parameter_supported, true);
assert.ok(announced.code_challenge_methods_supported.includes("S256"));
assert.equal(keeper.address.searchParams.get("scope"), "notes:read", "what the challenge of 401 named");
assert.equal(consents, 1);

const { tools } = await agent.client.listTools();
assert.deepEqual(tools.map(({ name }) => name), ["list_notes", "add_note"]);
const first = await call(agent, "list_notes");
assert.equal(first.client_id, keeper.client.client_id);
assert.equal(first.scope, "notes:read");

// The token has expired: nobody is asked, and a public client's refresh token changes.
const spent = keeper.kept.refresh_token;
keeper.kept = { ...keeper.kept, access_token: input.expired };
assert.deepEqual(await call(agent, "list_notes"), first);
assert.notEqual(keeper.kept.access_token, input.expired);
assert.notEqual(keeper.kept.refresh_token, spent);
assert.equal(consents, 1);

// Step-up. This SDK refreshes where it can, which brings no more scope: it asks once, and gives up.
await assert.rejects(call(agent, "add_note"), { code: 403, message: /after trying upscoping/ });
assert.deepEqual(await call(agent, "list_notes"), first, "and is let in as before");
keeper.withholds = true;
await assert.rejects(call(agent, "add_note"), UnauthorizedError);
assert.equal(keeper.address.searchParams.get("scope"), "notes:read notes:write", "what the challenge of 403 named");
await agent.transport.finishAuth(await authorize(keeper));
assert.equal(consents, 2, "the person is asked for what is new");
const second = await call(agent, "add_note");
assert.deepEqual(second, { ...first, scope: "notes:read notes:write" });

// Tokens that are not for this server are refused however often they come. The agent holds no other, and sends its person to the browser.
for (const [what, token] of Object.entries(input.refused)) {
  keeper.kept = { ...keeper.kept, access_token: token };
  keeper.address = undefined;
  await assert.rejects(call(agent, "list_notes"), UnauthorizedError, what);
  assert.ok(keeper.address, what);
}
// With a refresh token it gets a good one. Should that not be kept, it gives up at the second refusal.
keeper.withholds = false;
const { saveTokens } = keeper;
keeper.kept = { ...keeper.kept, access_token: input.refused["for another audience"] };
keeper.saveTokens = ({ refresh_token }) => (keeper.kept = { ...keeper.kept, refresh_token });
await assert.rejects(call(agent, "list_notes"), { code: 401, message: /401 after successful authentication/ });
keeper.saveTokens = saveTokens;

// A refresh token that is dead: its access is forgotten, and the person asked again; the client stays what it was.
await fetch(announced.revocation_endpoint, {
  method: "POST",
  body: new URLSearchParams({ token: keeper.kept.refresh_token, client_id: keeper.client.client_id }),
});
const again = new Keeper(keeper.clientMetadataUrl);
Object.assign(again, { client: keeper.client, kept: keeper.kept });
const third = await call(await connect(again), "list_notes");
assert.deepEqual(again.invalidated, ["tokens"]);
assert.equal(third.sub, first.sub);
assert.equal(third.client_id, first.client_id);

console.log(JSON.stringify({ first, second, third, consent: keeper.consent, client: keeper.client }));
