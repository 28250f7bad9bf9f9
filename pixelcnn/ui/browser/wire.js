// Reads what pixelcnn/ui/browser/wire.py has encoded.

const DTYPES = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
const MAGIC = 0x31435850; // "PXC1" read as a little-endian number
const align8 = (size) => (size + 7) & ~7;

export function decode(view) {
  const bytes = view.slice(); // the view is unaligned inside a websocket message: copy it once
  const numbers = new DataView(bytes.buffer);
  if (numbers.getUint32(0, true) !== MAGIC) throw new Error("the message is not PXC1");
  const end = 8 + numbers.getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(8, end)));
  const sections = {};
  let offset = align8(end);
  for (const { name, dtype, shape } of head.sections) {
    const size = shape.reduce((product, length) => product * length, 1);
    sections[name] = new DTYPES[dtype](bytes.buffer, offset, size);
    offset = align8(offset + sections[name].byteLength);
  }
  return { head, sections };
}
