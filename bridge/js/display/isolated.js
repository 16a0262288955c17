// The part of getDisplayMedia that a page cannot reach: it hands questions to the program and
// answers to the page. It runs in an isolated world of every frame.
(channel) => {
  if (globalThis.bridgeDisplay) return; // it is here already
  performance.addEventListener(`${channel}-question`, (event) => {
    event.stopImmediatePropagation();
    if (!globalThis.bridgeDisplayCall) return;
    event.preventDefault(); // somebody is there to be asked
    bridgeDisplayCall(JSON.stringify({ ...JSON.parse(event.detail), url: location.href, origin: self.origin, active: !!navigator.userActivation?.isActive }));
  });
  globalThis.bridgeDisplay = {
    answer: (message) => performance.dispatchEvent(new CustomEvent(`${channel}-answer`, { detail: JSON.stringify(message) })),
  };
}
