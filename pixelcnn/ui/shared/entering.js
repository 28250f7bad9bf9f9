// The Tab key enters a row of views at the chosen one, not at the first, as Streamlit 1.67 does.
window.pixelcnnEntering ??= document.addEventListener("focusin", ({ target, relatedTarget }) => {
  const group = target.closest("[role=radiogroup]");
  if (!group || group.contains(relatedTarget) || !target.matches(":focus-visible")) return;
  group.querySelector("[role=radio][aria-checked=true]")?.focus();
}) ?? true;

// A table that is wider than a phone scrolls by itself, by the keyboard too.
window.pixelcnnTables ??= (() => {
  const wide = "[data-testid=stMarkdownContainer]:has(> table):not([tabindex])";
  const enter = () => document.querySelectorAll(wide).forEach((table) => { table.tabIndex = 0; });
  new MutationObserver(enter).observe(document.body, { childList: true, subtree: true });
  enter();
  return true;
})();
