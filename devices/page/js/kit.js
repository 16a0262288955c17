// What the scripts of navigator.serial, navigator.hid and navigator.usb share: how
// they take arguments and throw, in Chromium's words, and objects that pages take
// for Chromium's own. ask(op, question) asks the program, hear(kind, listener)
// hears from it.
(replace, { ask, hear }) => {
  const { apply } = Reflect;

  // Failure becomes what a page catches when it leaves a method.
  class Failure {
    constructor(name, message) {
      this.name = name;
      this.message = message;
    }
    exception(where = '') {
      if (this.name === 'TypeError') return new TypeError(where + this.message);
      return new DOMException(where + this.message, this.name);
    }
  }
  const fail = (name, message) => { throw new Failure(name, message); };
  const within = (where, convert) => {
    try {
      return convert();
    } catch (error) {
      if (error instanceof Failure) error.message = where + error.message;
      throw error;
    }
  };
  const caught = (error, where) => (error instanceof Failure ? error.exception(where) : error);

  // call asks the program, and throws what it answers with.
  const call = async (op, question) => {
    const { result, error } = await ask(op, question);
    if (error) fail(error.name, error.message);
    return result;
  };

  // failing is for what the program says no more of than that it has failed.
  const failing = async (name, message, told) => {
    try {
      return await told;
    } catch (error) {
      if (error instanceof Failure) fail(name, message);
      throw error;
    }
  };

  // Arguments.
  const converted = {
    boolean: (value) => !!value,
    string: (value) => `${value}`,
    octet: (value) => value & 0xff,
    unsignedShort: (value) => value & 0xffff,
    unsignedLong: (value) => value >>> 0,
    bytes: (value) => {
      if (value instanceof ArrayBuffer) return new Uint8Array(value);
      if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      return fail('TypeError', "The provided value is not of type '(ArrayBuffer or ArrayBufferView)'.");
    },
  };
  const enforced = (type, limit) => (value) => {
    const number = Number(value);
    if (!Number.isFinite(number)) fail('TypeError', `Value is${Number.isNaN(number) ? '' : ' infinite and'} not of type '${type}'.`);
    const whole = Math.trunc(number) + 0;
    if (whole < 0 || whole > limit) fail('TypeError', `Value is outside the '${type}' value range.`);
    return whole;
  };
  const enumeration = (type, ...names) => (value) => {
    if (!names.includes(`${value}`)) fail('TypeError', `The provided value '${value}' is not a valid enum value of type ${type}.`);
    return `${value}`;
  };
  const sequence = (convert) => (value) => {
    if (typeof value?.[Symbol.iterator] !== 'function' || typeof value === 'string') fail('TypeError', 'The provided value cannot be converted to a sequence.');
    return Array.from(value, (one) => convert(one));
  };
  // dictionary takes members, each with convert and perhaps with required or
  // initial, in the order in which Chromium reads them.
  const dictionary = (type, members) => (value) => {
    if (value != null && typeof value !== 'object' && typeof value !== 'function') fail('TypeError', `The provided value is not of type '${type}'.`);
    const taken = {};
    for (const name of Object.keys(members).sort()) {
      const { convert, required, initial } = members[name];
      const given = value?.[name];
      const where = `Failed to read the '${name}' property from '${type}': `;
      if (given !== undefined) taken[name] = within(where, () => convert(given));
      else if (required) fail('TypeError', `${where}Required member is undefined.`);
      else if (initial !== undefined) taken[name] = initial;
    }
    return taken;
  };
  const present = (args, count) => {
    if (args.length < count) fail('TypeError', `${count} argument${count > 1 ? 's' : ''} required, but only ${args.length} present.`);
  };

  // method puts an async function in the place of one of Chromium's. known is what
  // it gets of the object that it is called on; without, Chromium's own is called.
  const method = (prototype, type, name, known, body) =>
    replace(prototype, name, {
      apply: (native, self, args) => {
        const state = known(self);
        if (!state) return apply(native, self, args);
        const where = `Failed to execute '${name}' on '${type}': `;
        return (async () => body(state, args, (...given) => apply(native, self, given)))().catch((error) => { throw caught(error, where); });
      },
    });
  // atOnce is the same for getters, and for functions that return no promise.
  const atOnce = (prototype, name, known, value) =>
    replace(prototype, name, {
      apply: (native, self, args) => {
        const state = known(self);
        return state ? value(state) : apply(native, self, args);
      },
    });
  // handlers makes attributes such as onconnect.
  const handlers = (prototype, known, ...types) => {
    for (const type of types) {
      const set = new WeakMap();
      atOnce(prototype, `on${type}`, known, (state) => set.get(state) ?? null);
      replace(prototype, `on${type}`, {
        apply: (native, self, [value]) => {
          const state = known(self);
          if (!state) return apply(native, self, [value]);
          if (!set.has(state)) self.addEventListener(type, (event) => set.get(state)?.call(self, event));
          set.set(state, typeof value === 'function' ? value : null);
        },
      }, 'set');
    }
  };

  // access makes a function that throws what Chromium throws where a document may
  // not use an interface, such as for want of a permissions policy: list is
  // Chromium's own function that asks nobody.
  const access = (object, prototype, list) => {
    const native = prototype[list];
    return async (name) => {
      try {
        await apply(native, object(), []);
      } catch (error) {
        throw new DOMException(error.message.replace(`'${list}'`, `'${name}'`), error.name);
      }
    };
  };

  // A family are the objects of an interface, one for each device that the page
  // knows, by its id. A worker that has just started has no interfaces yet.
  const family = (prototype, equip) => {
    const states = new WeakMap();
    const byID = new Map();
    const known = (object) => states.get(object);
    let equipped = false;
    const make = (initial) => {
      if (!equipped) equip(prototype(), known);
      equipped = true;
      const object = Object.setPrototypeOf(new EventTarget(), prototype());
      const state = { ...initial, object };
      states.set(object, state);
      return state;
    };
    return {
      known,
      find: (id) => byID.get(id),
      // of is the state of a device's object, with what is known of it now.
      of: (device) => {
        const state = byID.get(device.id) ?? make(device);
        byID.set(device.id, state);
        return Object.assign(state, device);
      },
      // renamed is told that a device is back, under another id.
      renamed: (was, id) => {
        const state = byID.get(was);
        if (!state) return;
        byID.delete(was);
        byID.set(id, Object.assign(state, { id }));
      },
      forget: (id) => byID.delete(id),
    };
  };

  // event is one of Chromium's interface with properties of its own.
  const event = (type, prototype, properties, options) => {
    const made = new Event(type, options);
    if (prototype) Object.setPrototypeOf(made, prototype);
    for (const [name, value] of Object.entries(properties)) Object.defineProperty(made, name, { value, configurable: true, enumerable: true });
    return made;
  };

  const base64 = (view) => view.toBase64();
  const unpacked = (text) => Uint8Array.fromBase64(text);

  return {
    call, hear, fail, failing, Failure, converted, enforced, enumeration, sequence, dictionary, present,
    method, atOnce, handlers, access, family, event, base64, unpacked,
  };
}
