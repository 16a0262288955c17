// navigator.usb, whose devices are the program's: what WebUSB says, in Chromium's
// words.
(kit) => {
  const { usb } = navigator;
  if (!usb) return; // not in a secure context
  const { call, hear, fail, Failure, converted, enumeration, sequence, dictionary, present, method, atOnce, access, family, event, base64, unpacked } = kit;
  const USB = Object.getPrototypeOf(usb);
  const own = (object) => object === usb && usb;
  const { freeze } = Object;

  // A filter that makes no sense is told without what was called, as Chromium does.
  const senseless = (message) => { throw new TypeError(message); };
  const filter = dictionary('USBDeviceFilter', {
    classCode: { convert: converted.octet },
    productId: { convert: converted.unsignedShort },
    protocolCode: { convert: converted.octet },
    serialNumber: { convert: converted.string },
    subclassCode: { convert: converted.octet },
    vendorId: { convert: converted.unsignedShort },
  });
  const requestOptions = dictionary('USBDeviceRequestOptions', {
    exclusionFilters: { convert: sequence(filter), initial: [] },
    filters: { convert: sequence(filter), required: true },
  });
  const checkFilter = ({ vendorId, productId, classCode, subclassCode, protocolCode }) => {
    if (productId !== undefined && vendorId === undefined) senseless('A filter containing a productId must also contain a vendorId.');
    if (subclassCode !== undefined && classCode === undefined) senseless('A filter containing a subclassCode must also contain a classCode.');
    if (protocolCode !== undefined && subclassCode === undefined) senseless('A filter containing a protocolCode must also contain a subclassCode.');
  };
  const direction = enumeration('USBDirection', 'in', 'out');
  const setupOf = dictionary('USBControlTransferParameters', {
    index: { convert: converted.unsignedShort, required: true },
    recipient: { convert: enumeration('USBRecipient', 'device', 'interface', 'endpoint', 'other'), required: true },
    request: { convert: converted.octet, required: true },
    requestType: { convert: enumeration('USBRequestType', 'standard', 'class', 'vendor'), required: true },
    value: { convert: converted.unsignedShort, required: true },
  });
  const lengthsOf = sequence(converted.unsignedLong);

  // largest is how many bytes Chromium takes in one transfer.
  const largest = 32 * 1024 * 1024;
  const tooBig = 'The data buffer exceeded its maximum size.';
  const checkLength = (length, message = tooBig) => {
    if (length > largest) fail('DataError', message);
  };
  const sum = (lengths) => lengths.reduce((total, length) => total + length, 0);
  const checkPackets = (lengths) => checkLength(sum(lengths), 'The total packet length exceeded the maximum size.');

  // Data of a page is undefined where it is not there any more. That is told only
  // after what is wrong with the device.
  const dataOf = (value) => {
    const buffer = ArrayBuffer.isView(value) ? value.buffer : value;
    return buffer instanceof ArrayBuffer && buffer.detached ? undefined : converted.bytes(value);
  };
  const packed = (data) => {
    if (!data) fail('InvalidStateError', 'The data buffer has been detached.');
    checkLength(data.byteLength);
    return base64(data);
  };

  // shape makes objects of an interface with attributes: a function that gives one
  // the values of a part of a device.
  const shape = (type, ...attributes) => {
    const parts = new WeakMap();
    let equipped = false;
    return (part) => {
      const { prototype } = globalThis[type];
      if (!equipped) for (const name of attributes) atOnce(prototype, name, (object) => parts.get(object), ({ [name]: value }) => value);
      equipped = true;
      const object = Object.create(prototype);
      parts.set(object, part);
      return object;
    };
  };
  const endpointOf = shape('USBEndpoint', 'endpointNumber', 'direction', 'type', 'packetSize');
  const alternateOf = shape('USBAlternateInterface', 'alternateSetting', 'interfaceClass', 'interfaceSubclass', 'interfaceProtocol', 'interfaceName', 'endpoints');
  const interfaceOf = shape('USBInterface', 'interfaceNumber', 'alternate', 'alternates', 'claimed');
  const configurationOf = shape('USBConfiguration', 'configurationValue', 'configurationName', 'interfaces');

  // An interface of a device: settings are what its alternates are made of, at the
  // place of the selected one.
  const interfacePart = ({ interfaceNumber, alternates: settings }) => {
    const alternates = freeze(settings.map((setting) => alternateOf({
      ...setting,
      interfaceName: setting.interfaceName ?? null,
      endpoints: freeze(setting.endpoints.map(endpointOf)),
    })));
    const part = { interfaceNumber, alternates, settings, at: 0, claimed: false, changing: false, get alternate() { return alternates[part.at]; } };
    part.object = interfaceOf(part);
    return part;
  };
  const configurationPart = ({ configurationValue, configurationName, interfaces: described }) => {
    const parts = described.map(interfacePart);
    const part = { configurationValue, configurationName: configurationName ?? null, parts, interfaces: freeze(parts.map(({ object }) => object)) };
    part.object = configurationOf(part);
    return part;
  };
  const unclaim = (part) => Object.assign(part, { claimed: false, changing: false, at: 0 });
  const unclaimAll = (device) => device.selected?.parts.forEach(unclaim);

  // What can be done with a device, as far as its object knows.
  const disconnected = 'The device was disconnected.';
  const requireHere = (device) => {
    if (device.gone) fail('NotFoundError', disconnected);
    if (device.changing) fail('InvalidStateError', 'An operation that changes the device state is in progress.');
  };
  const interfaceChanging = 'An operation that changes interface state is in progress.';
  const requireQuiet = (device) => {
    requireHere(device);
    if (device.selected?.parts.some(({ changing }) => changing)) fail('InvalidStateError', interfaceChanging);
  };
  const requireOpen = (device) => {
    if (!device.opened) fail('InvalidStateError', 'The device must be opened first.');
  };
  const requireConfigured = (device) => {
    requireHere(device);
    requireOpen(device);
    if (!device.selected) fail('InvalidStateError', 'The device must have a configuration selected.');
  };
  const quietInterface = (device, number) => {
    requireConfigured(device);
    const part = device.selected.parts.find(({ interfaceNumber }) => interfaceNumber === number);
    if (!part) fail('NotFoundError', 'The interface number provided is not supported by the device in its current configuration.');
    if (part.changing) fail('InvalidStateError', interfaceChanging);
    return part;
  };
  const claimedInterface = (device, number) => {
    const part = quietInterface(device, number);
    if (!part.claimed) fail('InvalidStateError', 'The specified interface has not been claimed.');
    return part;
  };
  const requireEndpoint = (device, way, number) => {
    requireConfigured(device);
    if (number < 1 || number > 15) fail('IndexSizeError', 'The specified endpoint number is out of range.');
    const has = ({ claimed, changing, settings, at }) => claimed && !changing && settings[at].endpoints.some((one) => one.endpointNumber === number && one.direction === way);
    if (!device.selected.parts.some(has)) fail('NotFoundError', 'The specified endpoint is not part of a claimed and selected alternate interface.');
  };
  const requireRecipient = (device, { recipient, index }) => {
    if (recipient === 'interface') claimedInterface(device, index & 0xff);
    if (recipient === 'endpoint') requireEndpoint(device, index & 0x80 ? 'in' : 'out', index & 0x0f);
  };

  // lose ends the object of a device. It does not come back, another one does.
  const lose = (device) => {
    device.gone = true;
    device.opened = false;
    unclaimAll(device);
    for (const reject of device.waiting) reject(new Failure('NotFoundError', disconnected));
  };
  const tell = (device, op, more) => new Promise((resolve, reject) => {
    device.waiting.add(reject);
    const failed = (error) => {
      if (!(error instanceof Failure) || error.message !== 'The device has been lost.') return reject(error);
      lose(device);
      return reject(new Failure('NotFoundError', disconnected));
    };
    call(`usb.${op}`, { device: device.id, ...more }).then(resolve, failed).finally(() => device.waiting.delete(reject));
  });
  // changing is tell while nothing else can be done with target: a device or an
  // interface.
  const changing = async (target, told) => {
    target.changing = true;
    try {
      await told();
    } finally {
      target.changing = false;
    }
  };

  const inResult = ({ status, data }) => new USBInTransferResult(status, new DataView(unpacked(data ?? '').buffer));
  const outResult = ({ status, written }) => new USBOutTransferResult(status, written ?? 0);

  const equip = (prototype, known) => {
    for (const name of ['usbVersionMajor', 'usbVersionMinor', 'usbVersionSubminor', 'deviceClass', 'deviceSubclass', 'deviceProtocol', 'vendorId', 'productId', 'deviceVersionMajor', 'deviceVersionMinor', 'deviceVersionSubminor']) {
      atOnce(prototype, name, known, ({ [name]: value }) => value);
    }
    for (const name of ['manufacturerName', 'productName', 'serialNumber']) atOnce(prototype, name, known, ({ [name]: value }) => value ?? null);
    atOnce(prototype, 'opened', known, ({ opened }) => opened);
    atOnce(prototype, 'configuration', known, ({ selected }) => selected?.object ?? null);
    atOnce(prototype, 'configurations', known, ({ objects }) => objects);

    const does = (name, count, body) => method(prototype, 'USBDevice', name, known, async (device, args) => {
      present(args, count);
      return body(device, ...args);
    });
    does('open', 0, async (device) => {
      requireQuiet(device);
      if (device.opened) return;
      await changing(device, () => tell(device, 'open'));
      device.opened = !device.gone;
    });
    does('close', 0, async (device) => {
      requireQuiet(device);
      if (!device.opened) return;
      device.closing = true;
      await changing(device, () => tell(device, 'close'));
      device.opened = device.closing = false;
      unclaimAll(device);
    });
    does('forget', 0, async (device) => {
      await call('usb.forget', { device: device.id });
      lose(device);
    });
    does('selectConfiguration', 1, async (device, value) => {
      const configuration = converted.octet(value);
      requireQuiet(device);
      requireOpen(device);
      const part = device.parts.find(({ configurationValue }) => configurationValue === configuration);
      if (!part) fail('NotFoundError', 'The configuration value provided is not supported by the device.');
      if (device.selected === part) return;
      await changing(device, () => tell(device, 'selectConfiguration', { configuration }));
      device.selected = part;
      unclaimAll(device);
    });
    does('claimInterface', 1, async (device, number) => {
      const part = quietInterface(device, converted.octet(number));
      if (part.claimed) return;
      await changing(part, () => tell(device, 'claimInterface', { interface: part.interfaceNumber }));
      part.claimed = !device.gone;
    });
    does('releaseInterface', 1, async (device, number) => {
      const part = quietInterface(device, converted.octet(number));
      if (!part.claimed) return;
      await changing(part, () => tell(device, 'releaseInterface', { interface: part.interfaceNumber }));
      unclaim(part);
    });
    does('selectAlternateInterface', 2, async (device, number, setting) => {
      const [interfaceNumber, alternate] = [converted.octet(number), converted.octet(setting)];
      const part = claimedInterface(device, interfaceNumber);
      const at = part.settings.findIndex(({ alternateSetting }) => alternateSetting === alternate);
      if (at < 0) fail('NotFoundError', 'The alternate setting provided is not supported by the device in its current configuration.');
      await changing(part, () => tell(device, 'selectAlternateInterface', { interface: interfaceNumber, alternate }));
      if (!device.gone) part.at = at;
    });
    does('controlTransferIn', 2, async (device, parameters, most) => {
      const [setup, length] = [setupOf(parameters), converted.unsignedShort(most)];
      requireQuiet(device);
      requireOpen(device);
      requireRecipient(device, setup);
      return inResult(await tell(device, 'controlTransferIn', { setup, length }));
    });
    does('controlTransferOut', 1, async (device, parameters, value) => {
      const setup = setupOf(parameters);
      const data = value === undefined ? new Uint8Array() : dataOf(value);
      requireQuiet(device);
      requireOpen(device);
      requireRecipient(device, setup);
      return outResult(await tell(device, 'controlTransferOut', { setup, data: packed(data) }));
    });
    does('clearHalt', 2, async (device, given, number) => {
      const [way, endpoint] = [direction(given), converted.octet(number)];
      requireEndpoint(device, way, endpoint);
      await tell(device, 'clearHalt', { direction: way, endpoint });
    });
    does('transferIn', 2, async (device, number, most) => {
      const [endpoint, length] = [converted.octet(number), converted.unsignedLong(most)];
      requireEndpoint(device, 'in', endpoint);
      checkLength(length);
      return inResult(await tell(device, 'transferIn', { endpoint, length }));
    });
    does('transferOut', 2, async (device, number, value) => {
      const [endpoint, data] = [converted.octet(number), dataOf(value)];
      requireEndpoint(device, 'out', endpoint);
      return outResult(await tell(device, 'transferOut', { endpoint, data: packed(data) }));
    });
    does('isochronousTransferIn', 2, async (device, number, given) => {
      const [endpoint, lengths] = [converted.octet(number), lengthsOf(given)];
      requireEndpoint(device, 'in', endpoint);
      checkPackets(lengths);
      const told = await tell(device, 'isochronousTransferIn', { endpoint, lengths });
      const all = new Uint8Array(sum(lengths));
      let at = 0;
      const packets = told.map(({ status, data }, i) => {
        const bytes = unpacked(data ?? '');
        all.set(bytes, at);
        const view = new DataView(all.buffer, at, bytes.byteLength);
        at += lengths[i];
        return new USBIsochronousInTransferPacket(status, view);
      });
      return new USBIsochronousInTransferResult(packets, new DataView(all.buffer));
    });
    does('isochronousTransferOut', 3, async (device, number, value, given) => {
      const [endpoint, data, lengths] = [converted.octet(number), dataOf(value), lengthsOf(given)];
      requireEndpoint(device, 'out', endpoint);
      const sent = packed(data);
      checkPackets(lengths);
      if (sum(lengths) !== data.byteLength) fail('DataError', 'The data buffer size must match the total packet length.');
      const told = await tell(device, 'isochronousTransferOut', { endpoint, data: sent, lengths });
      return new USBIsochronousOutTransferResult(told.map(({ status, written }) => new USBIsochronousOutTransferPacket(status, written ?? 0)));
    });
    does('reset', 0, async (device) => {
      requireQuiet(device);
      requireOpen(device);
      await tell(device, 'reset');
    });
  };

  const devices = family(() => USBDevice.prototype, equip);
  // known is the state of a device's object. What was selected is of interest only
  // when the object is made.
  const known = ({ id, configuration, configurations, ...described }) => {
    const there = devices.find(id);
    if (there && !there.gone) return there;
    devices.forget(id);
    const parts = configurations.map(configurationPart);
    return devices.of({
      ...described, id, parts, objects: freeze(parts.map(({ object }) => object)),
      selected: parts.find(({ configurationValue }) => configurationValue === configuration),
      opened: false, changing: false, closing: false, gone: false, waiting: new Set(),
    });
  };

  const checkAccess = access(() => usb, USB, 'getDevices');
  method(USB, 'USB', 'getDevices', own, async () => {
    await checkAccess('getDevices');
    return (await call('usb.getDevices')).map((device) => known(device).object);
  });
  method(USB, 'USB', 'requestDevice', own, async (_, args) => {
    const active = navigator.userActivation.isActive;
    present(args, 1);
    const question = requestOptions(args[0]);
    await checkAccess('requestDevice');
    if (!active) fail('SecurityError', 'Must be handling a user gesture to show a permission request.');
    question.filters.forEach(checkFilter);
    question.exclusionFilters.forEach(checkFilter);
    const [device] = await call('usb.requestDevice', question);
    if (!device) fail('NotFoundError', 'No device selected.');
    return known(device).object;
  });

  const tellPage = (type, { object }) => usb.dispatchEvent(event(type, globalThis.USBConnectionEvent?.prototype, { device: object }));
  hear('usb', ({ type, device: told }) => {
    const there = devices.find(told.id);
    switch (type) {
      case 'closed': // by the program, unless the page closes it
        if (there?.opened && !there.closing) lose(there);
        return;
      case 'connect':
        return tellPage(type, known(told));
      case 'disconnect': {
        const device = there ?? known(told);
        lose(device);
        devices.forget(device.id);
        tellPage(type, device);
      }
    }
  });
}
