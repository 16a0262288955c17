// Makes replace(object, name, handler), which puts a proxy in the place of a
// function or getter, or of a setter where part is 'set'. The proxy looks like what
// it replaces, also as text.
() => {
  // The page can replace what these are found under, and would be handed what
  // Chromium has. It can give all objects properties, too: those that Chromium looks
  // into have no prototype.
  const { apply } = Reflect;
  const { get, set } = WeakMap.prototype;
  const { hasOwn, getPrototypeOf, getOwnPropertyDescriptor, defineProperty } = Object;
  const natives = new WeakMap();
  const replace = (object, name, handler, part) => {
    while (object && !hasOwn(object, name)) object = getPrototypeOf(object);
    if (!object) return;
    const described = { __proto__: null, ...getOwnPropertyDescriptor(object, name) };
    const kind = part ?? (described.get ? 'get' : 'value');
    const proxy = new Proxy(described[kind], { __proto__: null, ...handler });
    apply(set, natives, [proxy, described[kind]]);
    described[kind] = proxy;
    defineProperty(object, name, described);
  };
  replace(Function.prototype, 'toString', {
    apply: (native, self, args) => apply(native, apply(get, natives, [self]) ?? self, args),
  });
  return replace;
}
