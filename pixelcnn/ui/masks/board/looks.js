// How cells are painted by what they are, and what that is called; the numbers are those of `Look`
// in message.py.

import { fitCanvas, readTheme } from "../../browser/paint.js";
import { fillLook } from "../../browser/pixel_grid.js";

const BLUE = [45, 130, 255], GREEN = [20, 160, 110], GREY = [128, 128, 140], VIOLET = [161, 43, 214];
const FUTURE = 4;
export const READS = [7, 8, 12]; // entries of a kernel
const LOOKS = {
  1: { tint: BLUE, alpha: 0.5, word: "past, can be read" },
  2: { tint: [245, 125, 20], alpha: 0.5, hatch: 0.95, word: "past, but in the blind spot" },
  3: { tint: [120, 144, 180], alpha: 0.45, hatch: 0.35, word: "past, but out of reach" },
  [FUTURE]: { word: "future, must not be read" },
  5: { tint: VIOLET, alpha: 0.5, word: "the pixel to be predicted" },
  6: { tint: [225, 20, 45], alpha: 0.85, word: "LEAK: it is read, but must not be" },
  7: { tint: BLUE, alpha: 0.85, word: "past: read" },
  8: { tint: GREEN, alpha: 0.85, word: "present: read, without the level to be predicted" },
  9: { tint: GREEN, alpha: 0.12, hatch: 0.75, word: "present: hidden by the mask" },
  10: { tint: GREY, alpha: 0.12, hatch: 0.6, word: "future: hidden by the mask" },
  11: { tint: GREY, alpha: 0.05, word: "not part of this convolution" },
  12: { tint: [120, 90, 220], alpha: 0.85,
    word: "this row: read, but the vertical stack there knows rows above only" },
  13: { tint: VIOLET, alpha: 0.5, word: "" }, // the frame around a chosen feature
};
export const markColour = (name) => (name === "i" ? "#f0a000" : "#a12bd6");

// The page's colours; the future is veiled more than in the player, for it is the topic here.
export function boardTheme(root) {
  const theme = readTheme(root);
  const veil = theme.dark ? "rgba(20,24,34,.66)" : "rgba(255,255,255,.62)";
  return { ...theme, looks: { ...LOOKS, [FUTURE]: { ...LOOKS[FUTURE], veil } }, ground: theme.dark ? "#1b2030" : "#f4f6fa" };
}

// On a kernel's plain ground the tints are told apart best when solid; over a picture, `soft`, they
// let it shine through.
export function paintLook(ctx, path, look, { looks }, soft = false) {
  const style = looks[look];
  if (!style) return;
  fillLook(ctx, path, soft && !style.hatch ? { ...style, alpha: Math.min(style.alpha, 0.5) } : style);
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
  paintLook(ctx, path, look, theme);
  ctx.strokeStyle = theme.border;
  ctx.strokeRect(0.5, 0.5, 17, 17);
}
