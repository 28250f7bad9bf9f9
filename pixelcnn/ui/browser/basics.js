// Numbers, places and texts, as all components need them.

export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

export const thousands = (number) => Math.round(number).toLocaleString("en-US");

// What a position of a scan is called.
export const unitOf = (channels) => (channels > 1 ? "dimension" : "pixel");

export function placeOf({ width }, pixel) {
  return { row: Math.floor(pixel / width), col: pixel % width };
}

// Sets a text only when it differs: the browser lays the page out again after each change.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
