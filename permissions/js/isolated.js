// The part of the permissions that a page cannot reach: it hands questions to the
// program and answers to the page, and ends what the page has entered without
// asking, while globalThis.bridgePermissionsGuarded says so. It runs in an isolated
// world of every frame.
(check, listen) => {
  if (globalThis.bridgePermissions) return; // it is here already

  const tell = listen((question) => {
    if (question.kind === 'now') {
      tell('answer', check(question));
      return true;
    }
    if (question.kind === 'done') finished(question.id);
    globalThis.bridgePermissionCall?.(JSON.stringify({ ...question, url: location.href, origin: self.origin, active: !!navigator.userActivation?.isActive }));
    return true;
  });

  // Chromium has no switch against fullscreen and pointer lock: who is in one
  // without a permit has to leave.
  const permits = { fullscreen: new Set(), pointerLock: new Set() };
  const walls = {
    fullscreenchange: ['fullscreen', () => document.fullscreenElement, () => document.exitFullscreen()],
    webkitfullscreenchange: ['fullscreen', () => document.webkitFullscreenElement, () => document.webkitExitFullscreen()],
    pointerlockchange: ['pointerLock', () => document.pointerLockElement, () => document.exitPointerLock()],
  };
  const guard = (event) => {
    const [permission, entered, leave] = walls[event.type];
    const held = permits[permission];
    if (!entered()) return held.clear();
    if (held.size > 0 || !globalThis.bridgePermissionsGuarded) return;
    event.stopImmediatePropagation();
    leave();
  };
  const arm = () => {
    for (const type of Object.keys(walls)) addEventListener(type, guard, true);
  };
  arm();
  new MutationObserver(arm).observe(document, { childList: true }); // document.open() takes listeners away

  // finished takes the permits of a request back that has led to nothing.
  const finished = (id) => {
    if (!document.fullscreenElement) permits.fullscreen.delete(id);
    if (!document.pointerLockElement) permits.pointerLock.delete(id);
  };

  globalThis.bridgePermissions = {
    answer: (message) => {
      if (message.granted && message.permission in permits) permits[message.permission].add(message.id);
      tell('answer', message);
    },
    // permit lets a frame inside this one be in fullscreen, or no longer.
    permit: (id, given) => given ? permits.fullscreen.add(id) : finished(id),
    changed: () => tell('changed', {}),
  };
}
