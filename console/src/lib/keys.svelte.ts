/** The keyboard: what each page answers to, and the keys that every page has. */
import { go } from "./route.svelte";

type Handler = (event: KeyboardEvent) => void;

const PLACES: Record<string, string> = { l: "live", t: "talk", c: "calls", f: "faults", a: "agents", n: "numbers", k: "checks", s: "settings" };

class Keys {
  help = $state(false);
  private pages: Record<string, Handler>[] = [];
  private went = 0; // when g was pressed

  /** Keys of a part that is on the screen; returns how to take them away. */
  use(handlers: Record<string, Handler>): () => void {
    this.pages.push(handlers);
    return () => { this.pages = this.pages.filter((one) => one !== handlers); };
  }

  pressed = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
    if (event.key === "Escape") {
      if (this.help) this.help = false;
      else if (typing) target.blur();
      else this.page(event);
      return;
    }
    if (typing) return;
    if ((event.key === " " || event.key === "Enter") && target.closest("button, a, summary, [role=tab]")) return;
    if (performance.now() - this.went < 1500 && PLACES[event.key]) {
      this.went = 0;
      event.preventDefault();
      go(PLACES[event.key]!);
    } else if (event.key === "g") this.went = performance.now();
    else if (event.key === "?") this.help = !this.help;
    else this.page(event);
  };

  private page(event: KeyboardEvent): void {
    const found = this.pages.findLast((one) => one[event.key]);
    if (found) {
      event.preventDefault();
      found[event.key]!(event);
    }
  }
}

export const keys = new Keys();
