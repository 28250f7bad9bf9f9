// Is the visitor on the way to another page? Until that page has replaced this one, nothing here may
// ask the server for more: Streamlit 1.67 may run the question after the new page, whose elements
// the browser then never gets: the page stays blank.

const LEAVING_MS = 3000; // if the link led nowhere, all goes on after this time
let leftAt = -Infinity;

document.addEventListener("click", (event) => {
  const link = event.composedPath().find((element) => element.tagName === "A");
  if (link?.origin === location.origin && !link.target) leftAt = performance.now();
}, true);
window.addEventListener("popstate", () => { leftAt = performance.now(); });

const isLeaving = () => performance.now() - leftAt < LEAVING_MS;
