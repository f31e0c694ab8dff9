/** The API of this server, and nothing else: every request of the console goes through here. */
import type { components } from "./schema";

export type Schemas = components["schemas"];
export type Live = Schemas["Live"];
export type CallRow = Schemas["CallRow"];
export type CallDetail = Schemas["CallDetail"];
export type Ladder = Schemas["Ladder"];
export type LadderMessage = Schemas["LadderMessage"];
export type LadderNote = Schemas["LadderNote"];
export type Message = Schemas["Message"];
export type Turn = Schemas["Turn"];
export type Verdict = Schemas["Verdict"];

/** Beside the pages, wherever a proxy has put them. */
export const BASE = new URL("../api/", location.href.split("#")[0]);

let csrf = "";

/** Why the server did not do it, in its own words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: Schemas["Mistake"][],
  ) {
    super(detail || title);
  }

  get fix(): string {
    return this.errors.map((one) => [one.got && one.wanted && `wanted: ${one.wanted}`, one.fix].filter(Boolean).join("; ")).filter(Boolean).join("; ");
  }
}

/** Hears of a request that is let in no more: the session is over, or its token was revoked. */
export const locked = {
  hear: null as (() => void) | null,
  on(hear: () => void): () => void {
    this.hear = hear;
    return () => (this.hear = null);
  },
};

type Query = Record<string, string | number | boolean | null | undefined>;

export function address(path: string, query: Query = {}): URL {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  return url;
}

async function ask<T>(method: string, url: URL, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (csrf && method !== "GET") headers["X-Offhook-CSRF"] = csrf;
  let answer: Response;
  try {
    answer = await fetch(url, {
      method, headers, credentials: "same-origin", signal: signal ?? null,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "no answer", "The server does not answer.", []);
  }
  if (answer.status === 204) return undefined as T;
  const told = (await answer.json().catch(() => null)) as (T & Partial<Schemas["ProblemAnswer"]>) | null;
  if (answer.status === 401 && !/\/(session|login|logout)$/.test(url.pathname)) locked.hear?.();
  if (!answer.ok || told === null)
    throw new Problem(answer.status, told?.title ?? `HTTP ${answer.status}`, told?.detail ?? "", told?.errors ?? []);
  return told;
}

export const get = <T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> =>
  ask<T>("GET", address(path, query), undefined, signal);
export const post = <T>(path: string, body: unknown = {}): Promise<T> => ask<T>("POST", address(path), body);

/** Who we are for the server. Throws a Problem with status 401 where it wants a login. */
export async function session(): Promise<Schemas["Session"]> {
  const told = await get<Schemas["Session"]>("session");
  csrf = told.csrf;
  return told;
}

/** The cookie that comes of it is the browser's; no page of ours ever sees it. */
export async function login(by: { code: string } | { token: string }): Promise<Schemas["Session"]> {
  const told = await post<Schemas["Session"]>("login", by);
  csrf = told.csrf;
  return told;
}

export async function logout(): Promise<void> {
  await post("logout");
  csrf = "";
}

export const call = (id: string, part = ""): string => `calls/${encodeURIComponent(id)}${part}`;
