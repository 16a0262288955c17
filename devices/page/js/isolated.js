// The part of the devices that a page cannot reach: it hands questions to the
// program, with what the document is and may, and answers to the page. It runs in
// an isolated world of every frame.
(listen) => {
  if (globalThis.bridgeDevices) return; // it is here already
  const allowed = (kind) => document.featurePolicy.allowsFeature(kind);
  const tell = listen((question) => {
    const known = { allowed: allowed(`${question.kind}`.split('.')[0]) };
    globalThis.bridgeDevicesCall?.(JSON.stringify({ ...question, ...known }));
    return true;
  });
  globalThis.bridgeDevices = {
    answer: (message) => tell('answer', message),
    tell,
    policy: (kind) => ({ origin: self.origin, allowed: allowed(kind) }),
  };
}
