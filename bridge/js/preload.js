// Makes the object bridge, by which a preload talks with Go. send takes a text to Go and says whether
// anybody listens there; deliver takes what comes from there.
(send) => {
  const calls = new Map(), listeners = new Map();
  let last = 0;

  const bridge = {
    // Calls what Session.Expose has exposed, and returns a promise of its result.
    invoke: (name, argument) => new Promise((resolve, reject) => {
      const id = ++last;
      calls.set(id, {resolve, reject});
      if (!send(JSON.stringify({id, name: `${name}`, argument}))) deliver.failure(id, `No handler registered for '${name}'`);
    }),
    // Calls listener with the arguments of each Send on the channel. Returns the function that ends it.
    on: (channel, listener) => {
      if (!listeners.has(channel)) listeners.set(channel, new Set());
      listeners.get(channel).add(listener);
      return () => { listeners.get(channel).delete(listener); };
    },
  };

  const deliver = {
    result: (id, value) => { calls.get(id)?.resolve(value); calls.delete(id); },
    failure: (id, message) => { calls.get(id)?.reject(new Error(message)); calls.delete(id); },
    message: (channel, values) => {
      for (const listener of [...listeners.get(channel) ?? []]) {
        try { listener(...values); } catch (error) { console.error(error); }
      }
    },
  };

  return {bridge: Object.freeze(bridge), deliver};
}
