// The Tab key enters a row of views at the chosen one, not at the first, as Streamlit 1.67 does.
window.pixelcnnEntering ??= document.addEventListener("focusin", ({ target, relatedTarget }) => {
  const group = target.closest("[role=radiogroup]");
  if (!group || group.contains(relatedTarget) || !target.matches(":focus-visible")) return;
  group.querySelector("[role=radio][aria-checked=true]")?.focus();
}) ?? true;
