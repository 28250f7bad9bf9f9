// How cells are painted by what they are; the numbers are those of `Look` in message.py.

import { fitCanvas, hatch, rgba } from "../../generate/player/pictures.js";
import { readTheme } from "../../generate/player/panels.js";

export const LOOKS = {
  1: { tint: [45, 130, 255], alpha: 0.5 }, // seen
  2: { tint: [245, 125, 20], alpha: 0.5, hatch: 0.95 }, // blind spot
  3: { tint: [120, 144, 180], alpha: 0.45, hatch: 0.35 }, // beyond reach
  4: { veil: true }, // future
  5: { tint: [161, 43, 214], alpha: 0.5 }, // the predicted pixel
  6: { tint: [225, 20, 45], alpha: 0.85 }, // leak
  7: { tint: [45, 130, 255], alpha: 0.85 }, // entry that reads the past
  8: { tint: [20, 160, 110], alpha: 0.85 }, // entry that reads the present position
  9: { tint: [20, 160, 110], alpha: 0.12, hatch: 0.75 }, // hidden entry at the present position
  10: { tint: [128, 128, 140], alpha: 0.12, hatch: 0.6 }, // hidden entry in the future
  12: { tint: [120, 90, 220], alpha: 0.85 }, // entry that reads what knows rows above only
  11: { tint: [128, 128, 140], alpha: 0.05 }, // entry that the convolution does not have
};
const MARK_COLOURS = { pixel: "#a12bd6", j: "#a12bd6", i: "#f0a000" };
export const markColour = (name) => MARK_COLOURS[name] ?? "#a12bd6";

// From blue over white to red, for values with a sign; `dark` makes the middle dark.
export function signedColour(shade, dark) {
  const middle = dark ? [38, 40, 48] : [247, 247, 247];
  const end = shade < 0 ? (dark ? [90, 160, 255] : [33, 102, 172]) : (dark ? [255, 110, 90] : [178, 24, 43]);
  const at = Math.min(1, Math.abs(shade));
  return middle.map((v, c) => Math.round(v + at * (end[c] - v)));
}

// Fills a path as a look wants it. On a kernel's plain ground the tints are told apart best when
// solid; over a picture, `soft`, they let it shine through.
export function fillLook(ctx, path, look, theme, soft = false) {
  const style = LOOKS[look];
  if (!style) return;
  if (style.veil) {
    ctx.fillStyle = theme.futureVeil;
    ctx.fill(path);
    return;
  }
  ctx.fillStyle = rgba(style.tint, soft && !style.hatch ? Math.min(style.alpha, 0.5) : style.alpha);
  ctx.fill(path);
  if (style.hatch) {
    ctx.fillStyle = hatch(ctx, rgba(style.tint, style.hatch), null, 7);
    ctx.fill(path);
  }
}

// The page's colours; the future is veiled more than in the player, for it is the topic here.
export function boardTheme(root) {
  const theme = readTheme(root);
  return { ...theme, futureVeil: theme.dark ? "rgba(20,24,34,.66)" : "rgba(255,255,255,.62)",
    ground: theme.dark ? "#1b2030" : "#f4f6fa" };
}

export function drawKey(canvas, look, theme) {
  const ctx = fitCanvas(canvas, 18, 18);
  const path = new Path2D();
  path.rect(0, 0, 18, 18);
  ctx.fillStyle = look <= 6 ? "#fff" : theme.ground;
  ctx.fill(path);
  if (look <= 6) { // over a picture: half of the key is on black
    ctx.fillStyle = "#000";
    ctx.fillRect(0, 0, 9, 18);
  }
  fillLook(ctx, path, look, theme);
  ctx.strokeStyle = theme.border;
  ctx.strokeRect(0.5, 0.5, 17, 17);
}
