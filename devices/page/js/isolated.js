// The part of the devices that a page cannot reach: it hands questions to the
// program, with what the document is and may, and answers to the page. It runs in
// an isolated world of every frame.
(listen) => {
  if (globalThis.bridgeDevices) return; // it is here already
  const tell = listen((question) => {
    globalThis.bridgeDevicesCall?.(JSON.stringify(question));
    return true;
  });
  globalThis.bridgeDevices = {
    answer: (message) => tell('answer', message),
    tell: (kind, message) => tell(kind, message),
  };
}
