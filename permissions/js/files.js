// Lets the program decide which files a page reads and writes. What the user has
// just given to the page is read without asking; what is in a directory, and
// handles that come from elsewhere, such as a database, are asked for.
(replace, { collection, awaitable }, { ask, whenGranted, refusal }) => {
  if (!globalThis.FileSystemHandle) return; // it takes a secure context
  const { apply } = Reflect;
  const { getDirectory } = StorageManager.prototype;
  const file = FileSystemFileHandle.prototype, directory = FileSystemDirectoryHandle.prototype;
  const { resolve } = directory;
  const { storage } = navigator;
  const { isArray } = Array;
  const { getPrototypeOf, getOwnPropertyDescriptor } = Object;
  const { get: kindOf } = getOwnPropertyDescriptor(FileSystemHandle.prototype, 'kind');
  const { get: nameOf } = getOwnPropertyDescriptor(FileSystemHandle.prototype, 'name');
  const notAllowed = 'The request is not allowed by the user agent or the platform in the current context.';

  const isHandle = (value) => {
    try {
      return !!apply(kindOf, value, []);
    } catch {
      return false;
    }
  };
  // A handle knows its name alone. Below a directory that the page was given, so
  // much of the path is known.
  const paths = collection('WeakMap');
  const pathOf = (handle) => paths.get(handle) ?? apply(nameOf, handle, []);
  const permitted = { readable: collection('WeakSet'), writable: collection('WeakSet') };
  const permit = (handle, access) => {
    permitted[access].add(handle);
    return handle;
  };
  // adopt notes that a handle is one of what is in a directory.
  const adopt = (parent, child) => {
    paths.set(child, `${pathOf(parent)}/${apply(nameOf, child, [])}`);
    return permitted.writable.has(parent) ? permit(permit(child, 'readable'), 'writable') : child;
  };

  // What the origin keeps for itself is nobody else's matter.
  const owned = collection('WeakMap');
  const isOwn = (handle) => {
    if (!owned.has(handle)) owned.set(handle, awaitable(isBelowRoot(handle)));
    return owned.get(handle);
  };
  const isBelowRoot = async (handle) => {
    try {
      const root = await awaitable(apply(getDirectory, storage, []));
      return await awaitable(apply(resolve, root, [handle])) !== null;
    } catch {
      return false; // there is none
    }
  };

  const question = (handle, fileAccessType) =>
    ({ permission: 'fileSystem', filePath: pathOf(handle), isDirectory: apply(kindOf, handle, []) === 'directory', fileAccessType });
  // reach does something that takes an access to a handle.
  const reach = async (handle, access, act, refused) => {
    if (permitted[access].has(handle) || await isOwn(handle)) return act();
    return whenGranted(question(handle, access), () => act(permit(handle, access)), refused);
  };
  const gate = (object, name, access) =>
    replace(object, name, {
      apply: (native, self, args) => {
        const act = () => apply(native, self, args);
        if (!isHandle(self)) return act();
        return reach(self, access, act, refusalOf(object, name));
      },
    });
  const refusalOf = (object, name) =>
    refusal('NotAllowedError', `Failed to execute '${name}' on '${object[Symbol.toStringTag]}': ${notAllowed}`);

  gate(file, 'getFile', 'readable');
  gate(file, 'createWritable', 'writable');
  gate(file, 'move', 'writable');
  gate(directory, 'removeEntry', 'writable');
  gate(FileSystemHandle.prototype, 'remove', 'writable');

  for (const [name, isDirectory] of [['getFileHandle', false], ['getDirectoryHandle', true]]) {
    const refused = refusalOf(directory, name);
    replace(directory, name, {
      apply: (native, self, args) => {
        const act = async () => adopt(self, await awaitable(apply(native, self, args)));
        if (!isHandle(self)) return apply(native, self, args);
        if (args[1]?.create) return reach(self, 'writable', act, refused);
        return reach(self, 'readable', async () => {
          if (permitted.writable.has(self) || await isOwn(self)) return act();
          const below = { permission: 'fileSystem', filePath: `${pathOf(self)}/${args[0]}`, isDirectory, fileAccessType: 'readable' };
          return whenGranted(below, async () => permit(await awaitable(act()), 'readable'), refused);
        }, refused);
      },
    });
  }

  // What is in a directory.
  const listed = collection('WeakMap'); // directories by their iterators
  let iterators;
  for (const name of ['entries', 'keys', 'values']) {
    replace(directory, name, {
      apply: (native, self, args) => {
        const iterator = apply(native, self, args);
        listed.set(iterator, self);
        iterators ??= followed(getPrototypeOf(iterator));
        return iterator;
      },
    });
  }
  Object.defineProperty(directory, Symbol.asyncIterator, {
    ...Object.getOwnPropertyDescriptor(directory, Symbol.asyncIterator),
    value: directory.entries,
  });
  const followed = (prototype) => {
    replace(prototype, 'next', {
      apply: (native, self, args) => {
        const parent = listed.get(self);
        if (!parent) return apply(native, self, args);
        return reach(parent, 'readable', async () => {
          const next = await awaitable(apply(native, self, args));
          const { value } = { __proto__: null, ...next };
          const handle = isArray(value) ? value[1] : value; // that of an entry
          if (isHandle(handle)) adopt(parent, handle);
          return next;
        }, refusal('NotAllowedError', notAllowed));
      },
    });
    return prototype;
  };

  // What is permitted, and may be.
  const accesses = { __proto__: null, undefined: ['readable'], read: ['readable'], readwrite: ['readable', 'writable'] };
  const told = (name, answer) =>
    replace(FileSystemHandle.prototype, name, {
      apply: (native, self, args) => {
        const act = () => apply(native, self, args);
        const asked = accesses[args[0]?.mode];
        return asked && isHandle(self) ? answer(self, asked, act) : act();
      },
    });
  told('queryPermission', async (handle, asked, act) => {
    if (await isOwn(handle)) return act();
    let said;
    for (let i = 0; i < asked.length; i++) {
      said = (await ask('check', question(handle, asked[i]))).state;
      if (said === 'denied') return said;
    }
    const state = await awaitable(act());
    return state === 'denied' ? state : said ?? state;
  });
  const request = (handle, asked, act, from = 0) =>
    from < asked.length ? reach(handle, asked[from], () => request(handle, asked, act, from + 1), () => 'denied') : act();
  told('requestPermission', request);

  // What the user gives.
  const given = (object, name, ...granted) =>
    replace(object, name, {
      apply: async (native, self, args) => {
        const result = await awaitable(apply(native, self, args));
        const handles = isArray(result) ? result : [result];
        for (let i = 0; i < handles.length; i++) {
          for (let j = 0; j < granted.length; j++) if (handles[i]) permit(handles[i], granted[j]);
        }
        return result;
      },
    });
  given(globalThis.DataTransferItem?.prototype, 'getAsFileSystemHandle', 'readable');
  given(globalThis, 'showOpenFilePicker', 'readable');
  given(globalThis, 'showSaveFilePicker', 'readable', 'writable');
}
