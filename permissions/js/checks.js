// Lets the program say what a page, frame or worker is told that it may do. query
// gives the state of a descriptor, notifications that of notifications, at once;
// undefined leaves it to Chromium. The result is to be called when answers may
// have changed.
(replace, { collection, awaitable }, { query, notifications }) => {
  const { apply } = Reflect;
  const { addEventListener, dispatchEvent } = EventTarget.prototype;
  const { stopImmediatePropagation } = Event.prototype;
  const { deref } = WeakRef.prototype;
  const Reference = WeakRef, Change = Event;
  const states = collection('WeakMap');
  const inUse = collection('Set'); // weak references
  let announced;

  const follow = (status, descriptor, state) => {
    states.set(status, { descriptor, state });
    inUse.add(new Reference(status));
    // Chromium's own state changes while something is granted.
    apply(addEventListener, status, ['change', (event) => {
      if (event !== announced) apply(stopImmediatePropagation, event, []);
    }]);
  };
  replace(globalThis.Permissions?.prototype, 'query', {
    apply: async (native, self, args) => {
      const status = await awaitable(apply(native, self, args));
      const { name, sysex, userVisibleOnly, allowWithoutSanitization, allowWithoutGesture, panTiltZoom } = args[0];
      const descriptor = { name, sysex, userVisibleOnly, allowWithoutSanitization, allowWithoutGesture, panTiltZoom };
      const state = await awaitable(query(descriptor));
      if (state) follow(status, descriptor, state);
      return status;
    },
  });
  replace(globalThis.PermissionStatus?.prototype, 'state', {
    apply: (native, self, args) => states.get(self)?.state ?? apply(native, self, args),
  });
  replace(globalThis.Notification, 'permission', {
    apply: (native, self, args) => notifications() ?? apply(native, self, args),
  });

  return () => {
    for (const reference of inUse) {
      const status = apply(deref, reference, []);
      if (status) review(status);
      else inUse.delete(reference);
    }
  };
  async function review(status) {
    const known = states.get(status);
    const state = await awaitable(query(known.descriptor));
    if (!state || state === known.state) return;
    known.state = state;
    announced = new Change('change');
    apply(dispatchEvent, status, [announced]);
  }
}
