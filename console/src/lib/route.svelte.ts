/** Which page: behind the #, so that the server, proxies and logs never see it, and every prefix works. */

class Route {
  parts = $state<string[]>([]);
  query = $state<URLSearchParams>(new URLSearchParams());

  constructor() {
    this.read();
    addEventListener("hashchange", () => this.read());
  }

  private read(): void {
    const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    this.parts = path.split("/").filter(Boolean).map(decoded);
    this.query = new URLSearchParams(query);
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = new Route();

export function href(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(...parts: string[]): void {
  location.hash = href(...parts);
}

/** The same page under other words of the query, without a step in the history. */
export function requery(query: Record<string, string>): void {
  const told = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const path = location.hash.split("?")[0] || "#/";
  history.replaceState(null, "", told.size ? `${path}?${told}` : path);
}
