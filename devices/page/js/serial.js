// navigator.serial, whose ports are the program's: what Web Serial says, in
// Chromium's words.
(kit) => {
  const { serial } = navigator;
  if (!serial) return; // not in a secure context
  const { call, hear, fail, failing, Failure, converted, enforced, enumeration, sequence, dictionary, present, method, atOnce, handlers, access, family, event, base64, unpacked } = kit;
  const Serial = Object.getPrototypeOf(serial);
  const own = (object) => object === serial && serial;
  const disconnected = new Failure('NetworkError', 'The device has been lost.');
  const largest = 64 * 1024; // bytes in a message

  const filter = dictionary('SerialPortFilter', {
    bluetoothServiceClassId: { convert: (value) => value },
    usbProductId: { convert: converted.unsignedShort },
    usbVendorId: { convert: converted.unsignedShort },
  });
  const usable = (value) => {
    const taken = filter(value);
    const { usbVendorId, usbProductId, bluetoothServiceClassId } = taken;
    if (bluetoothServiceClassId !== undefined) {
      if (usbVendorId !== undefined || usbProductId !== undefined) fail('TypeError', 'A filter cannot specify both bluetoothServiceClassId and usbVendorId or usbProductId.');
    } else if (usbVendorId === undefined) {
      fail('TypeError', usbProductId === undefined ? 'A filter must provide a property to filter by.' : 'A filter containing a usbProductId must also specify a usbVendorId.');
    }
    return taken;
  };
  const requestOptions = dictionary('SerialPortRequestOptions', {
    allowedBluetoothServiceClassIds: { convert: sequence((value) => value) },
    filters: { convert: sequence((value) => value) },
  });
  const openOptions = dictionary('SerialOptions', {
    baudRate: { convert: enforced('unsigned long', 0xffffffff), required: true },
    bufferSize: { convert: enforced('unsigned long', 0xffffffff), initial: 255 },
    dataBits: { convert: enforced('octet', 0xff), initial: 8 },
    flowControl: { convert: enumeration('FlowControlType', 'none', 'hardware'), initial: 'none' },
    parity: { convert: enumeration('ParityType', 'none', 'even', 'odd'), initial: 'none' },
    stopBits: { convert: enforced('octet', 0xff), initial: 1 },
  });
  const outputSignals = dictionary('SerialOutputSignals', {
    break: { convert: converted.boolean },
    dataTerminalReady: { convert: converted.boolean },
    requestToSend: { convert: converted.boolean },
  });
  const largestBuffer = 16 * 1024 * 1024;
  const checkOpenOptions = ({ baudRate, dataBits, stopBits, bufferSize }) => {
    if (baudRate === 0) fail('TypeError', 'Requested baud rate must be greater than zero.');
    if (dataBits !== 7 && dataBits !== 8) fail('TypeError', 'Requested number of data bits must be 7 or 8.');
    if (stopBits !== 1 && stopBits !== 2) fail('TypeError', 'Requested number of stop bits must be 1 or 2.');
    if (bufferSize === 0) fail('TypeError', 'Requested buffer size (0 bytes) must be greater than zero.');
    if (bufferSize > largestBuffer) fail('TypeError', `Requested buffer size (${bufferSize} bytes) is greater than the maximum allowed (${largestBuffer} bytes).`);
  };

  const tell = (port, op, more) => call(`serial.${op}`, { device: port.id, ...more });

  // The streams of an open port. What comes next is on its way while the page works on
  // what came before, as Chromium has a pipe there.
  const readableOf = (port) => {
    let controller;
    let ended = false;
    let wanted = false;
    let held; // bytes, or the failure after them
    const finish = () => {
      ended = true;
      port.readable = undefined;
    };
    const enqueue = (data) => {
      const request = controller.byobRequest;
      if (!request) {
        controller.enqueue(data);
        return undefined;
      }
      const { buffer, byteOffset, byteLength } = request.view;
      const fitting = data.subarray(0, byteLength);
      new Uint8Array(buffer, byteOffset, byteLength).set(fitting);
      request.respond(fitting.byteLength);
      return fitting.byteLength < data.byteLength ? data.subarray(fitting.byteLength) : undefined;
    };
    const deliver = () => {
      if (!wanted || !held || ended) return;
      if (held instanceof Failure) {
        port.readFatal = held.name === disconnected.name;
        controller.error(held.exception());
        finish();
        return;
      }
      const data = held;
      wanted = false;
      held = undefined;
      held = enqueue(data); // which may want more at once
      if (held) deliver();
      else fetch();
    };
    const fetch = async () => {
      const data = await tell(port, 'read', { most: largest }).catch((error) => error);
      held = data instanceof Failure ? data : unpacked(data);
      deliver();
    };
    return new ReadableStream({
      type: 'bytes',
      start: (given) => {
        controller = given;
        fetch();
      },
      pull: () => { // not waited for, or the stream could not be cancelled
        wanted = true;
        deliver();
      },
      cancel: async () => {
        ended = true;
        if (!port.closing) await tell(port, 'discard', { input: true }).catch(() => {});
        finish();
      },
    });
  };
  const writableOf = (port) => {
    let controller;
    let aborted;
    const finish = () => { port.writable = port.failWriting = undefined; };
    port.failWriting = (failure) => {
      controller.error(failure.exception());
      finish();
    };
    const write = async (data) => {
      for (let at = 0; at < data.byteLength; at += largest) {
        await Promise.race([aborted, tell(port, 'write', { data: base64(data.subarray(at, at + largest)) })]);
      }
    };
    return new WritableStream({
      start: (given) => {
        controller = given;
        const { signal } = controller;
        aborted = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        aborted.catch(() => {});
      },
      write: async (chunk) => {
        try {
          await write(converted.bytes(chunk));
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          port.writeFatal = error.name === disconnected.name;
          if (error.name !== 'TypeError') finish();
          throw error.exception();
        }
      },
      close: async () => {
        await tell(port, 'drain').catch(() => {});
        finish();
      },
      abort: async () => {
        if (!port.closing) await tell(port, 'discard', { output: true }).catch(() => {});
        finish();
      },
    }, new CountQueuingStrategy({ highWaterMark: 1 }));
  };

  const requireOpen = (port) => { if (!port.isOpen) fail('InvalidStateError', 'The port is closed.'); };

  // ended is told that the connection of an open port is gone. What reads gets what
  // there is before it learns of it.
  const ended = (port) => {
    if (!port?.isOpen) return;
    port.isOpen = false;
    port.failWriting?.(disconnected);
  };

  const ports = family(() => SerialPort.prototype, (prototype, known) => {
    handlers(prototype, known, 'connect', 'disconnect');
    atOnce(prototype, 'connected', known, (port) => port.connected);
    atOnce(prototype, 'readable', known, (port) => {
      if (!port.readable && port.isOpen && !port.closing && !port.readFatal) port.readable = readableOf(port);
      return port.readable ?? null;
    });
    atOnce(prototype, 'writable', known, (port) => {
      if (!port.writable && port.isOpen && !port.closing && !port.writeFatal) port.writable = writableOf(port);
      return port.writable ?? null;
    });
    atOnce(prototype, 'getInfo', known, (port) => ({ ...port.info }));
    method(prototype, 'SerialPort', 'open', known, async (port, args) => {
      present(args, 1);
      const options = openOptions(args[0]);
      if (port.opening) fail('InvalidStateError', 'A call to open() is already in progress.');
      if (port.isOpen) fail('InvalidStateError', 'The port is already open.');
      checkOpenOptions(options);
      port.opening = true;
      try {
        await failing('NetworkError', 'Failed to open serial port.', tell(port, 'open', { options }));
        Object.assign(port, { isOpen: true, readFatal: false, writeFatal: false });
      } finally {
        port.opening = false;
      }
    });
    method(prototype, 'SerialPort', 'getSignals', known, async (port) => {
      requireOpen(port);
      const { clearToSend, dataCarrierDetect, dataSetReady, ringIndicator } = await tell(port, 'getSignals');
      return { clearToSend, dataCarrierDetect, dataSetReady, ringIndicator };
    });
    method(prototype, 'SerialPort', 'setSignals', known, async (port, [given]) => {
      const signals = outputSignals(given);
      requireOpen(port);
      if (Object.keys(signals).length === 0) fail('TypeError', 'Signals dictionary must contain at least one member.');
      await tell(port, 'setSignals', { signals });
    });
    method(prototype, 'SerialPort', 'close', known, async (port) => {
      if (!port.isOpen) fail('InvalidStateError', 'The port is already closed.');
      if (port.closing) fail('InvalidStateError', 'A call to close() is already in progress.');
      if (port.readable?.locked) fail('TypeError', 'Cannot cancel a locked stream');
      if (port.writable?.locked) fail('TypeError', 'Cannot abort a locked stream');
      port.closing = true;
      try {
        await Promise.allSettled([port.readable?.cancel(), port.writable?.abort(new Failure('InvalidStateError', 'The port is closed.').exception())]);
        await tell(port, 'close').catch(() => {});
      } finally {
        port.isOpen = port.closing = false;
      }
    });
    method(prototype, 'SerialPort', 'forget', known, async (port) => {
      await tell(port, 'forget');
      ended(port);
      ports.forget(port.id);
    });
  });

  const objectOf = (device) => ports.of({ ...device, connected: true }).object;
  const checkAccess = access(() => serial, Serial, 'getPorts');
  method(Serial, 'Serial', 'getPorts', own, async () => {
    await checkAccess('getPorts');
    return (await call('serial.getDevices')).map(objectOf);
  });
  method(Serial, 'Serial', 'requestPort', own, async (_, [given]) => {
    const active = navigator.userActivation.isActive;
    const { filters, allowedBluetoothServiceClassIds } = requestOptions(given);
    await checkAccess('requestPort');
    if (!active) fail('SecurityError', 'Must be handling a user gesture to show a permission request.');
    const usableFilters = filters?.map(usable);
    const [device] = await call('serial.requestDevice', { filters: usableFilters, allowedBluetoothServiceClassIds });
    if (!device) fail('NotFoundError', 'No port selected by the user.');
    return objectOf(device);
  });

  hear('serial', ({ type, device, was }) => {
    if (type === 'lost') return ended(ports.find(device.id));
    if (was) ports.renamed(was, device.id);
    const port = ports.of({ ...device, connected: type === 'connect' });
    const told = event(type, null, {}, { bubbles: true });
    port.object.dispatchEvent(told);
    // Chromium's event goes on to navigator.serial.
    if (!told.cancelBubble) serial.dispatchEvent(event(type, null, { target: port.object }, { bubbles: true }));
  });
}
