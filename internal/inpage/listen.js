// Is the side of talk in an isolated world: take gets what the page says, with what
// the page has no say in, and is true if it takes it. The result tells the page
// something.
(name, take) => {
  performance.addEventListener(`${name}-question`, (event) => {
    event.stopImmediatePropagation();
    if (!document.defaultView) return; // its frame is gone, and nobody would be heard
    const question = JSON.parse(event.detail);
    const known = { url: location.href, origin: self.origin, active: !!navigator.userActivation?.isActive };
    if (take({ ...question, ...known })) event.preventDefault();
  });
  // A page that has stopped in a debugger hears nothing: it is told again when it
  // goes on.
  const tell = (kind, message) => {
    const unheard = performance.dispatchEvent(new CustomEvent(`${name}-${kind}`, { detail: JSON.stringify(message), cancelable: true }));
    if (unheard) setTimeout(tell, 0, kind, message);
  };
  return tell;
}
