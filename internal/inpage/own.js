// Makes what a script of the bridge's keeps to itself beside a page that replaces
// what all objects have in common.
() => {
  const { ownKeys } = Reflect;
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  const Result = Promise;
  const define = (object, name, value) => defineProperty(object, name, { __proto__: null, value, configurable: true });
  const kinds = { __proto__: null, Map, Set, WeakMap, WeakSet };
  const methods = { __proto__: null };
  for (const kind of ownKeys(kinds)) {
    const { prototype } = kinds[kind];
    methods[kind] = ownKeys(prototype).filter((name) => name !== 'size' && name !== 'constructor').map((name) => [name, prototype[name]]);
  }

  return {
    // collection is a new Map, Set, WeakMap or WeakSet whose methods are its own.
    collection: (kind) => {
      const made = new kinds[kind]();
      for (let i = 0; i < methods[kind].length; i++) define(made, methods[kind][i][0], methods[kind][i][1]);
      return made;
    },
    // promised is a new promise that can be awaited: await would look for then
    // where constructor leads elsewhere.
    promised: (begin) => define(new Result(begin), 'constructor', Result),
    // awaitable makes a promise, if it is one, one that can be awaited.
    awaitable: (result) => (typeof result === 'object' && result !== null ? define(result, 'constructor', Result) : result),
  };
}
