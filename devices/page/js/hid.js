// navigator.hid, whose devices are the program's: what WebHID says, in Chromium's
// words.
(kit) => {
  // Chromium keeps no document in the back-forward cache that has looked at
  // navigator.hid.
  if (!globalThis.HID) return; // not in a secure context
  const { call, hear, fail, failing, Failure, converted, sequence, dictionary, present, method, atOnce, handlers, access, family, event, base64, unpacked } = kit;
  const own = (object) => object === navigator.hid && object;

  const filter = dictionary('HIDDeviceFilter', {
    productId: { convert: converted.unsignedShort },
    usage: { convert: converted.unsignedShort },
    usagePage: { convert: converted.unsignedShort },
    vendorId: { convert: converted.unsignedLong },
  });
  const usable = (value) => {
    const taken = filter(value);
    if (Object.keys(taken).length === 0) fail('TypeError', 'A filter must provide a property to filter by.');
    if (taken.productId !== undefined && taken.vendorId === undefined) fail('TypeError', 'A filter containing a productId must also contain a vendorId.');
    if (taken.usage !== undefined && taken.usagePage === undefined) fail('TypeError', 'A filter containing a usage must also contain a usagePage.');
    return taken;
  };
  const requestOptions = dictionary('HIDDeviceRequestOptions', {
    exclusionFilters: { convert: sequence((value) => value) },
    filters: { convert: sequence((value) => value), required: true },
  });

  const tell = (device, op, more) => call(`hid.${op}`, { device: device.id, ...more });
  const requireQuiet = (device) => {
    if (device.changing) fail('InvalidStateError', 'An operation that changes the device state is in progress.');
    if (device.forgotten) fail('InvalidStateError', 'The device is forgotten.');
  };
  const requireOpen = (device) => {
    requireQuiet(device);
    if (!device.opened) fail('InvalidStateError', 'The device must be opened first.');
  };
  // closed rejects what waits for a device that is closed.
  const unlessClosed = (device, told) => Promise.race([told, device.closing]);
  const ended = (device) => {
    device.opened = false;
    device.close?.();
  };

  const devices = family(() => HIDDevice.prototype, (prototype, known) => {
    handlers(prototype, known, 'inputreport');
    for (const name of ['vendorId', 'productId', 'productName', 'collections']) atOnce(prototype, name, known, (device) => device[name]);
    atOnce(prototype, 'opened', known, (device) => !!device.opened);
    method(prototype, 'HIDDevice', 'open', known, async (device) => {
      requireQuiet(device);
      if (device.opened) fail('InvalidStateError', 'The device is already open.');
      device.changing = true;
      try {
        await failing('NotAllowedError', 'Failed to open the device.', tell(device, 'open'));
        device.opened = true;
        device.closing = new Promise((_, reject) => {
          device.close = () => reject(new Failure('InvalidStateError', 'The device was closed unexpectedly.'));
        });
        device.closing.catch(() => {});
      } finally {
        device.changing = false;
      }
    });
    method(prototype, 'HIDDevice', 'close', known, async (device) => {
      requireQuiet(device);
      if (!device.opened) return;
      ended(device);
      await tell(device, 'close').catch(() => {});
    });
    method(prototype, 'HIDDevice', 'forget', known, async (device) => {
      if (device.changing) fail('InvalidStateError', 'An operation that changes the device state is in progress.');
      device.changing = true;
      try {
        await tell(device, 'forget');
        device.forgotten = true;
        ended(device);
      } finally {
        device.changing = false;
      }
    });
    const sends = (name, message) =>
      method(prototype, 'HIDDevice', name, known, async (device, args) => {
        present(args, 2);
        const report = converted.octet(args[0]);
        const data = base64(converted.bytes(args[1]));
        requireOpen(device);
        await unlessClosed(device, failing('NotAllowedError', message, tell(device, name, { report, data })));
      });
    sends('sendReport', 'Failed to write the report.');
    sends('sendFeatureReport', 'Failed to write the feature report.');
    method(prototype, 'HIDDevice', 'receiveFeatureReport', known, async (device, args) => {
      present(args, 1);
      const report = converted.octet(args[0]);
      requireOpen(device);
      const told = failing('NotAllowedError', 'Failed to receive the feature report.', tell(device, 'receiveFeatureReport', { report }));
      return new DataView(unpacked(await unlessClosed(device, told)).buffer);
    });
  });

  const checkAccess = access(() => navigator.hid, HID.prototype, 'getDevices');
  method(HID.prototype, 'HID', 'getDevices', own, async () => {
    await checkAccess('getDevices');
    return (await call('hid.getDevices')).map((device) => devices.of(device).object);
  });
  method(HID.prototype, 'HID', 'requestDevice', own, async (_, args) => {
    const active = navigator.userActivation.isActive;
    present(args, 1);
    const { filters, exclusionFilters } = requestOptions(args[0]);
    await checkAccess('requestDevice');
    if (!active) fail('SecurityError', 'Must be handling a user gesture to show a permission request.');
    if (exclusionFilters?.length === 0) fail('TypeError', "'exclusionFilters', if present, must contain at least one filter.");
    const question = { filters: filters.map(usable), exclusionFilters: exclusionFilters?.map(usable) };
    return (await call('hid.requestDevice', question)).map((device) => {
      const state = devices.of(device);
      state.forgotten = false;
      return state.object;
    });
  });

  hear('hid', ({ type, device: known, was, data }) => {
    if (was) devices.renamed(was, known.id);
    const device = type === 'connect' || type === 'disconnect' ? devices.of(known) : devices.find(known.id);
    if (!device) return;
    switch (type) {
      case 'closed':
        return ended(device);
      case 'input':
        for (const [reportId, report] of data) {
          const view = new DataView(unpacked(report).buffer);
          if (device.opened) device.object.dispatchEvent(event('inputreport', HIDInputReportEvent.prototype, { device: device.object, reportId, data: view }));
        }
        return;
      default:
        if (type === 'disconnect') ended(device);
        navigator.hid.dispatchEvent(event(type, HIDConnectionEvent.prototype, { device: device.object }));
    }
  });
}
