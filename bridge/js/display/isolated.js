// The part of getDisplayMedia that a page cannot reach: it hands questions to the program and
// answers to the page. It runs in an isolated world of every frame.
(listen) => {
  if (globalThis.bridgeDisplay) return; // it is here already
  const tell = listen((question) => {
    if (!globalThis.bridgeDisplayCall) return false; // nobody is there to be asked
    bridgeDisplayCall(JSON.stringify(question));
    return true;
  });
  globalThis.bridgeDisplay = { answer: (message) => tell('answer', message) };
}
