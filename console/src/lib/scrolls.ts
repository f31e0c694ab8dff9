/** A box that scrolls when it is too narrow can then be reached, and moved, by the keyboard; a Svelte action. */
export function scrolls(node: HTMLElement): { destroy(): void } {
  const measure = () => {
    if (node.scrollWidth > node.clientWidth || node.scrollHeight > node.clientHeight) node.tabIndex = 0;
    else node.removeAttribute("tabindex");
  };
  const watch = new ResizeObserver(measure);
  watch.observe(node);
  for (const child of node.children) watch.observe(child);
  return { destroy: () => watch.disconnect() };
}
