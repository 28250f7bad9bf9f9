// One button for each picture; made anew only when the pictures change.

const SHOWN = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".pxg");
  root.choose = (index) => setTriggerValue("choose", { index });
  const pictures = data ?? [];
  const text = JSON.stringify(pictures);
  if (SHOWN.get(root) === text) return;
  SHOWN.set(root, text);
  root.classList.toggle("pxg-named", Boolean(pictures[0]?.named));
  root.replaceChildren(...pictures.map(({ title, png }, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = title;
    const image = document.createElement("img");
    image.src = `data:image/png;base64,${png}`;
    image.alt = title;
    button.append(image);
    button.addEventListener("click", () => root.choose(index));
    return button;
  }));
}
