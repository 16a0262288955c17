// Puts the scripts of the devices into a dedicated worker, before its own. The
// program is asked by a function that it takes away from the worker, and answers by
// calling the object that this script gives it.
(replace, kit, scripts) => {
  const tell = globalThis.bridgeDevicesCall;
  delete globalThis.bridgeDevicesCall;
  const { stringify } = JSON;
  const waiting = new Map();
  const listeners = new Map();
  let last = 0;
  const ask = (kind, question) => new Promise((resolve) => {
    waiting.set(++last, resolve);
    tell(stringify({ kind, id: last, ...question }));
  });
  const devices = kit(replace, { ask, hear: (kind, listener) => listeners.set(kind, listener) });
  for (const script of scripts) script(devices);
  return {
    answer: (answer) => {
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    },
    tell: (kind, message) => listeners.get(kind)?.(message),
  };
}
