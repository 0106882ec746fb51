// The server counts Unicode code points; strings here count UTF-16 units, two for a character such as 𠮷 or 😀.

/** Returns the function from an offset in code points to one in UTF-16 units. */
export function unitOffsets(text) {
  const units = new Uint32Array(text.length + 1);
  let points = 0;
  for (let at = 0; at < text.length; at += text.codePointAt(at) > 0xffff ? 2 : 1) {
    units[points] = at;
    points += 1;
  }
  units[points] = text.length;
  return points === text.length ? (offset) => offset : (offset) => units[offset];
}
