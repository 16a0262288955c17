// Lets scripts ask for URLs of custom schemes, which Chromium does not let them
// do. It runs before the page, in every frame's own world, and before workers.
(replace, { wire, custom, privileges }) => {
  const isURL = (value) => typeof value === 'string' || value instanceof URL;
  const first = (args) => (isURL(args[0]) ? [wire(String(args[0])) ?? args[0], ...args.slice(1)] : args);

  // allowed applies the privileges of the scheme: what is not for everybody may be
  // asked for by its own origin.
  const allowed = (url, mode) => {
    const scheme = privileges(url);
    return !scheme || scheme.cors || mode === 'no-cors' || new URL(wire(url)).origin === self.origin;
  };
  replace(globalThis, 'fetch', {
    apply: (native, self, args) => {
      const url = String(isURL(args[0]) ? args[0] : '');
      if (privileges(url)?.fetch === false || !allowed(url, args[1]?.mode)) {
        return Promise.reject(new TypeError('Failed to fetch'));
      }
      const [to, init] = first(args);
      if (privileges(url) && init?.body instanceof ReadableStream) {
        // Chromium streams a body by HTTP/2 only, which no handler speaks.
        return new Response(init.body).blob().then((body) => Reflect.apply(native, self, [to, { ...init, body }]));
      }
      return Reflect.apply(native, self, first(args));
    },
  });
  replace(globalThis.XMLHttpRequest?.prototype, 'open', {
    apply: (native, self, args) => {
      const [method, url, ...rest] = args;
      // Chromium itself fails a request for a scheme that it does not know.
      const to = allowed(String(url), 'cors') ? wire(String(url)) : undefined;
      return Reflect.apply(native, self, to ? [method, to, ...(rest.length ? rest : [true])] : args);
    },
  });

  const calls = { apply: (native, self, args) => Reflect.apply(native, self, first(args)) };
  replace(globalThis, 'open', calls);
  replace(globalThis.Navigator?.prototype, 'sendBeacon', calls);
  replace(globalThis.ServiceWorkerContainer?.prototype, 'register', {
    apply: (native, self, [url, options, ...rest]) => {
      const scope = options?.scope && wire(String(options.scope));
      return Reflect.apply(native, self, [...first([url]), scope ? { ...options, scope } : options, ...rest]);
    },
  });
  const makes = { construct: (native, args, target) => Reflect.construct(native, first(args), target) };
  for (const name of ['Request', 'Worker', 'SharedWorker', 'EventSource']) replace(globalThis, name, makes);

  for (const [type, name] of [['Response', 'url'], ['Request', 'url'], ['XMLHttpRequest', 'responseURL'], ['EventSource', 'url']]) {
    replace(globalThis[type]?.prototype, name, { apply: (native, self) => custom(Reflect.apply(native, self, [])) });
  }
}
