/** Figures as people read them, always with their unit. */

export function ms(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value < 10 && value !== Math.round(value)) return `${value.toFixed(1)} ms`;
  if (value < 10_000) return `${Math.round(value)} ms`;
  return seconds(value / 1000);
}

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value < 60) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return h ? `${h} h ${two(m)} min` : `${m} min ${two(s)} s`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** A place in a call: 1:02.340, with as many digits as the stretch that is looked at needs. */
export function clock(at_ms: number, digits = 3): string {
  const sign = at_ms < 0 ? "-" : "";
  const all = Math.abs(at_ms);
  const h = Math.floor(all / 3_600_000);
  const m = Math.floor((all % 3_600_000) / 60_000);
  const s = (all % 60_000) / 1000;
  const text = digits ? s.toFixed(digits).padStart(3 + digits, "0") : two(Math.floor(s));
  return h ? `${sign}${h}:${two(m)}:${text}` : `${sign}${m}:${text}`;
}

export function usd(value: number | null | undefined): string {
  if (value === null || value === undefined) return "unknown";
  if (value === 0) return "$0";
  return value < 0.01 ? `$${value.toFixed(4)}` : `$${value.toFixed(value < 1 ? 3 : 2)}`;
}

/** A call's cost: what is known, and whether something is not. */
export function spent(call: { usd: number | null; cost_unknown: string[] }): string {
  if (call.usd === null) return "cost unknown";
  return call.cost_unknown.length ? `${usd(call.usd)} + unknown` : usd(call.usd);
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value < 1000) return `${value} B`;
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

/** How long, in the one unit that says it. */
export function ago(value: number): string {
  const whole = Math.max(0, Math.round(value / 1000));
  if (whole < 90) return `${whole} s`;
  return whole < 5400 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** In the reader's zone; utc() is for its title. */
export function local(at: number): string {
  const date = new Date(at);
  const clock = time.format(date);
  return date.toDateString() === new Date().toDateString() ? clock : `${day.format(date)} ${clock}`;
}

export const utc = (at: number): string => new Date(at).toISOString().replace(".000", "");

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The value below which a share of them lies. */
export function percentile(values: number[], share: number): number | null {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? null;
}
