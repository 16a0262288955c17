// Makes replace(object, name, handler), which puts a proxy in the place of a
// function or getter. The proxy looks like what it replaces, also as text.
() => {
  const natives = new WeakMap();
  const replace = (object, name, handler) => {
    while (object && !Object.hasOwn(object, name)) object = Object.getPrototypeOf(object);
    if (!object) return;
    const described = Object.getOwnPropertyDescriptor(object, name);
    const kind = described.get ? 'get' : 'value';
    const proxy = new Proxy(described[kind], handler);
    natives.set(proxy, described[kind]);
    Object.defineProperty(object, name, { ...described, [kind]: proxy });
  };
  replace(Function.prototype, 'toString', {
    apply: (native, self, args) => Reflect.apply(native, natives.get(self) ?? self, args),
  });
  return replace;
}
