// Is the visitor on the way to another page? Until that page has replaced this one, nothing here may
// ask the server for more: Streamlit 1.67 may run the question after the new page, whose elements
// the browser then never gets: the page stays blank.

export const LEAVING_MS = 3000; // if the link led nowhere, all goes on after this time
const PAGE = location.pathname;
// Kept by the window: this script may be loaded anew between the click and the new page.
export const way = window.pixelcnnWay ??= watchLinks();
let hasAsked = false;

function watchLinks() {
  const found = { leftAt: -Infinity, asking: 0, link: null };
  document.addEventListener("click", (event) => {
    const link = event.composedPath().find((element) => element.tagName === "A");
    const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (link?.origin !== location.origin || link.target || elsewhere) return;
    found.leftAt = performance.now();
    if (found.asking === 0) return;
    // Streamlit has not sent the question yet: the page is asked for after it.
    event.preventDefault();
    event.stopImmediatePropagation();
    found.link = link;
  }, true);
  window.addEventListener("popstate", () => { found.leftAt = performance.now(); });
  return found;
}

export function isLeaving() {
  if (location.pathname !== PAGE || performance.now() - way.leftAt < LEAVING_MS) return true;
  // The link may have been clicked before this script was there.
  const app = document.querySelector("[data-testid=stApp]");
  return !hasAsked && app?.dataset.testScriptState === "rerunRequested";
}

// Asks the server by a trigger. Streamlit sends it by a timer of its own, after which ours comes.
export function ask(component, name, value) {
  hasAsked = true;
  way.asking += 1;
  component.setTriggerValue(name, value);
  setTimeout(() => {
    way.asking -= 1;
    if (way.asking > 0) return;
    const { link } = way;
    way.link = null;
    link?.click();
  }, 0);
}
