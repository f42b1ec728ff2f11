// A browser without scripts: it keeps cookies, follows redirects and fills in plain forms.

export class Browser {
  cookies = new Map();

  /** Goes no farther than to `redirectUri`. */
  constructor(redirectUri) {
    this.redirectUri = redirectUri;
  }

  async load(address, form) {
    let url = new URL(address);
    let body = form;
    for (let hops = 0; hops < 10; hops += 1) {
      if (url.href.startsWith(this.redirectUri)) return { url, html: "" };
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
