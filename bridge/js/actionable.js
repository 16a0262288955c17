// Returns the first element that the selector matches when it is visible, stands
// still and, for a click, is enabled and not covered; otherwise a text that says
// what stands in the way.
async (selector, forClick) => {
  const element = document.querySelector(selector);
  if (!element) return 'no element matches';
  const place = () => {
    const box = element.getBoundingClientRect();
    return `${box.x} ${box.y} ${box.width} ${box.height}`;
  };
  // The first box: those of a link over two lines have nothing in their middle.
  const box = () => [...element.getClientRects()].find((box) => box.width > 0 && box.height > 0);
  if (!box() || getComputedStyle(element).visibility !== 'visible') return 'it is not visible';
  if (forClick && element.matches(':disabled')) return 'it is disabled';
  element.scrollIntoViewIfNeeded();
  const before = place();
  await new Promise((done) => setTimeout(done, 20));
  if (!element.isConnected || place() !== before || !box()) return 'it moves';
  if (!forClick) return element;

  const {x, y, width, height} = box();
  const deepest = (root) => {
    const hit = root.elementFromPoint(x + width / 2, y + height / 2);
    return hit?.shadowRoot && hit.shadowRoot !== root ? deepest(hit.shadowRoot) ?? hit : hit;
  };
  const hit = deepest(document);
  if (!hit) return 'it is outside of the viewport';
  for (let at = hit; at; at = at.parentNode ?? at.host) {
    if (at === element || at.control === element) return element;
  }
  return `${hit.cloneNode(false).outerHTML.slice(0, 80)} covers it`;
}
