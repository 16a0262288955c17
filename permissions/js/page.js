// Lets the program decide what a page may do before Chromium does it. It runs in
// the page's own world, before its scripts, in every frame, and is no wall:
// Chromium itself denies what goes round it.
(replace, own, checks, files, talk) => {
  if (!talk) return; // it is here already
  const { tell, ask, askNow, hear } = talk;
  const { collection, promised, awaitable } = own;
  const { apply } = Reflect;
  const { then } = Promise.prototype;
  const { get: ownerOf } = Object.getOwnPropertyDescriptor(Node.prototype, 'ownerDocument');
  const { get: viewOf } = Object.getOwnPropertyDescriptor(Document.prototype, 'defaultView');
  const { dispatchEvent } = EventTarget.prototype;
  const EventType = Event, Exception = DOMException;

  const done = (id) => tell({ kind: 'done', id });

  // whenGranted runs what Chromium does when the program has said yes, and refused
  // when it has said no.
  const whenGranted = (question, native, refused) => {
    if (apply(viewOf, document, [])) return asked(question, native, refused);
    return promised((resolve) => resolve(refused())); // the frame is gone, and nothing runs later
  };
  const asked = async (question, native, refused) => {
    const { lasting } = { __proto__: null, ...question };
    const { granted, id } = await ask('request', question);
    if (!granted) return refused();
    try {
      const result = await awaitable(native());
      if (!lasting) done(id);
      return result;
    } catch (error) {
      done(id);
      throw error;
    }
  };
  const refusal = (name, message) => () => { throw new Exception(message, name); };

  // gate lets a function that returns a promise wait for the program. question
  // is undefined for a call that Chromium refuses, or grants, without asking
  // anybody.
  const gate = (object, name, question, refused) =>
    replace(object, name, {
      apply: (native, self, args) => {
        const call = () => apply(native, self, args);
        const about = question(args);
        return about ? whenGranted(about, call, refused) : call();
      },
    });

  const active = () => navigator.userActivation?.isActive;
  const allowed = (feature) => document.featurePolicy?.allowsFeature(feature) ?? true;
  const always = (permission) => () => ({ permission });
  const inOriginOfTop = () => {
    try {
      return top.origin === self.origin && !!top.document;
    } catch {
      return false;
    }
  };

  // Camera and microphone.
  const media = (constraints) => {
    const mediaTypes = ['audio', 'video'].filter((type) => constraints?.[type]);
    const permitted = mediaTypes.every((type) => allowed(type === 'audio' ? 'microphone' : 'camera'));
    if (mediaTypes.length === 0 || !permitted) return undefined;
    // Chromium ends the tracks when the permission is taken back.
    return { permission: 'media', mediaTypes, lasting: true };
  };
  const mediaDevices = globalThis.MediaDevices?.prototype;
  gate(mediaDevices, 'getUserMedia', ([constraints]) => media(constraints), refusal('NotAllowedError', 'Permission denied'));
  for (const name of ['getUserMedia', 'webkitGetUserMedia']) {
    replace(Navigator.prototype, name, {
      apply: (native, self, args) => {
        const [constraints, succeeded, failed] = args;
        const question = media(constraints);
        if (!question || typeof succeeded !== 'function' || typeof failed !== 'function') return apply(native, self, args);
        const captured = whenGranted(
          question,
          () => promised((resolve, reject) => apply(native, self, [constraints, resolve, reject])),
          refusal('NotAllowedError', 'Permission denied'),
        );
        apply(then, awaitable(captured), [succeeded, failed]);
      },
    });
  }
  // The names of the devices are for those who may use them.
  replace(mediaDevices, 'enumerateDevices', {
    apply: async (native, self, args) => {
      await ask('devices');
      return apply(native, self, args);
    },
  });

  // Geolocation. A watch has a number at once, before anybody has answered.
  const watches = collection('Map');
  let lastWatch = 0;
  const locates = ([succeeded, failed]) => typeof succeeded === 'function' && (failed == null || typeof failed === 'function') && isSecureContext && allowed('geolocation');
  const locationRefused = (failed) => {
    const error = Object.create(GeolocationPositionError.prototype, { code: { value: 1 }, message: { value: 'User denied Geolocation' } });
    failed?.(error);
  };
  const geolocation = globalThis.Geolocation?.prototype;
  replace(geolocation, 'getCurrentPosition', {
    apply: (native, self, args) => {
      if (!locates(args)) return apply(native, self, args);
      const [succeeded, failed, options] = args;
      const located = () => promised((resolve) => {
        const ends = (then) => (value) => { resolve(); then?.(value); };
        apply(native, self, [ends(succeeded), ends(failed), options]);
      });
      whenGranted({ permission: 'geolocation' }, located, () => locationRefused(failed));
    },
  });
  replace(geolocation, 'watchPosition', {
    apply: (native, self, args) => {
      if (!locates(args)) return apply(native, self, args);
      const watch = ++lastWatch;
      watches.set(watch, 0);
      const begin = () => {
        if (watches.has(watch)) watches.set(watch, apply(native, self, args));
      };
      whenGranted({ permission: 'geolocation', lasting: true }, begin, () => locationRefused(args[1]));
      return watch;
    },
  });
  replace(geolocation, 'clearWatch', {
    apply: (native, self, args) => {
      const running = watches.get(args[0]);
      watches.delete(args[0]);
      return apply(native, self, running ? [running] : args);
    },
  });

  // Functions whose promise is rejected when the program says no.
  const clipboard = globalThis.Clipboard?.prototype;
  for (const name of ['read', 'readText']) {
    gate(clipboard, name, () => allowed('clipboard-read') ? { permission: 'clipboard-read' } : undefined,
      refusal('NotAllowedError', `Failed to execute '${name}' on 'Clipboard': Read permission denied.`));
  }
  for (const name of ['write', 'writeText']) {
    // Without a gesture Chromium takes it for more than writing.
    gate(clipboard, name, () => allowed('clipboard-write') ? { permission: active() ? 'clipboard-sanitized-write' : 'clipboard-read' } : undefined,
      refusal('NotAllowedError', `Failed to execute '${name}' on 'Clipboard': Write permission denied.`));
  }
  replace(Navigator.prototype, 'requestMIDIAccess', {
    apply: (native, self, [options]) => {
      const asked = { ...options }; // which says the same when Chromium reads it
      const call = () => apply(native, self, [asked]);
      if (!allowed('midi')) return call();
      return whenGranted({ permission: asked.sysex ? 'midiSysex' : 'midi', lasting: true }, call,
        refusal('NotAllowedError', 'Permission to use Web MIDI API was not granted.'));
    },
  });
  gate(Navigator.prototype, 'requestMediaKeySystemAccess', always('mediaKeySystem'),
    refusal('NotSupportedError', 'Unsupported keySystem or supportedConfigurations.'));
  gate(globalThis.Keyboard?.prototype, 'lock', always('keyboardLock'),
    refusal('InvalidStateError', 'lock() request could not be registered.'));
  gate(globalThis.WakeLock?.prototype, 'request', ([type = 'screen']) => type === 'screen' && allowed('screen-wake-lock') ? { permission: 'screen-wake-lock' } : undefined,
    refusal('NotAllowedError', 'Wake Lock permission request denied'));
  gate(globalThis, 'getScreenDetails', () => allowed('window-management') ? { permission: 'window-management' } : undefined,
    refusal('NotAllowedError', 'Permission denied.'));
  gate(mediaDevices, 'selectAudioOutput', always('speaker-selection'), refusal('NotAllowedError', 'Permission denied'));
  gate(Document.prototype, 'requestStorageAccess', () => inOriginOfTop() ? undefined : { permission: 'storage-access', lasting: true },
    refusal('NotAllowedError', 'requestStorageAccess not allowed'));
  gate(Document.prototype, 'requestStorageAccessFor', always('top-level-storage-access'),
    refusal('NotAllowedError', 'requestStorageAccessFor not allowed'));
  gate(globalThis.SyncManager?.prototype, 'register', always('background-sync'), refusal('NotAllowedError', 'Permission denied.'));
  gate(globalThis.PeriodicSyncManager?.prototype, 'register', always('periodic-background-sync'), refusal('NotAllowedError', 'Permission denied.'));
  gate(globalThis.BackgroundFetchManager?.prototype, 'fetch', always('background-fetch'), refusal('TypeError', 'Permission denied.'));

  // Functions whose promise tells the answer.
  gate(globalThis.StorageManager?.prototype, 'persist', always('persistent-storage'), () => false);
  gate(globalThis, 'queryLocalFonts', () => allowed('local-fonts') ? { permission: 'local-fonts' } : undefined, () => []);
  const tells = (object, permission, may) =>
    replace(object, 'requestPermission', {
      apply: (native, self, args) => {
        if (!may()) return apply(native, self, args);
        return (async () => {
          const { granted, id } = await ask('request', { permission });
          done(id);
          const state = granted ? 'granted' : 'denied';
          if (typeof args[0] === 'function') args[0](state);
          return state;
        })();
      },
    });
  tells(globalThis.Notification, 'notifications', () => isSecureContext && inOriginOfTop());
  tells(globalThis.IdleDetector, 'idle-detection', () => active() && allowed('idle-detection'));

  // Fullscreen and pointer lock.
  const fails = (element, type) => apply(dispatchEvent, element, [new EventType(type, { __proto__: null, bubbles: true, composed: true })]);
  const documentOf = (element) => {
    try {
      return apply(ownerOf, element, []);
    } catch {
      return undefined; // it is none
    }
  };
  const enter = (type, name, permission, may, refused) =>
    replace(globalThis[type].prototype, name, {
      apply: (native, self, args) => {
        // The document that it is in is the one that asks, whoever's function this is.
        const within = documentOf(self);
        const view = within && within !== document && apply(viewOf, within, []);
        if (view) return apply(view[type].prototype[name], self, args);
        if (within !== document || !may()) return apply(native, self, args);
        const entered = whenGranted({ permission }, () => apply(native, self, args), () => refused(self));
        if (name === 'requestFullscreen' || name === 'requestPointerLock') return entered;
        apply(then, awaitable(entered), [() => {}, () => {}]); // the older functions return nothing
      },
    });
  const mayBeFullscreen = () => document.fullscreenEnabled && (active() || document.fullscreenElement);
  const fullscreenRefused = (element) => {
    fails(element, 'fullscreenerror');
    throw new TypeError('Permissions check failed');
  };
  for (const name of ['requestFullscreen', 'webkitRequestFullscreen', 'webkitRequestFullScreen']) {
    enter('Element', name, 'fullscreen', mayBeFullscreen, fullscreenRefused);
  }
  for (const name of ['webkitEnterFullscreen', 'webkitEnterFullScreen']) {
    enter('HTMLVideoElement', name, 'fullscreen', mayBeFullscreen, fullscreenRefused);
  }
  enter('Element', 'requestPointerLock', 'pointerLock', () => active() || document.pointerLockElement, () => {
    fails(document, 'pointerlockerror');
    throw new Exception('Permission denied', 'NotAllowedError');
  });

  files(replace, own, { ask, whenGranted, refusal });

  const changed = checks(replace, own, {
    query: async (descriptor) => (await ask('check', { descriptor })).state,
    notifications: () => (isSecureContext && inOriginOfTop() ? askNow('now', { permission: 'notifications' }).state : undefined),
  });
  hear('changed', changed);
}
