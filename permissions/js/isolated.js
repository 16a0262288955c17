// The part of the permissions that a page cannot reach: it hands questions to the
// program and answers to the page, and ends what the page has entered without
// asking. globalThis.bridgePermissionsRules says whether somebody answers requests
// (asks) and checks. It runs in an isolated world of every frame.
(check, listen) => {
  if (globalThis.bridgePermissions) return; // it is here already

  const rules = () => globalThis.bridgePermissionsRules ?? {};
  const tell = listen((question) => {
    if (question.kind === 'now') {
      tell('answer', check(question, rules().checks ? 'denied' : 'granted'));
      return true;
    }
    if (question.kind === 'done') finished(question.id);
    call(question);
    return true;
  });
  const call = (message) => globalThis.bridgePermissionCall?.(JSON.stringify(message));

  // Chromium has no switch against fullscreen and pointer lock: who is in one
  // without a permit has to leave. A permit is for who enters at once, and until that
  // one leaves.
  const permits = { fullscreen: new Set(), pointerLock: new Set() };
  const inside = { fullscreen: false, pointerLock: false };
  const permit = (permission, id) => {
    permits[permission].add(id);
    setTimeout(finished, 3000, id);
  };
  const walls = {
    fullscreenchange: ['fullscreen', () => document.fullscreenElement, () => document.exitFullscreen()],
    webkitfullscreenchange: ['fullscreen', () => document.webkitFullscreenElement, () => document.webkitExitFullscreen()],
    pointerlockchange: ['pointerLock', () => document.pointerLockElement, () => document.exitPointerLock()],
  };
  // look is true if the page had to leave.
  const look = (type) => {
    const [permission, entered, leave] = walls[type];
    const held = permits[permission], was = inside[permission];
    inside[permission] = !!entered();
    if (was && !inside[permission]) held.clear();
    if (held.size > 0 || !inside[permission] || !rules().asks) return false;
    leave();
    return true;
  };
  const guard = (event) => {
    if (look(event.type)) event.stopImmediatePropagation();
  };
  const arm = () => {
    for (const type of Object.keys(walls)) addEventListener(type, guard, true);
  };
  arm();
  // document.open() takes listeners away, and the page can put its own before them:
  // from then on it is looked at.
  let looking;
  new MutationObserver((changes) => {
    if (!changes.some((change) => change.removedNodes.length > 0)) return;
    arm();
    looking ??= setInterval(() => Object.keys(walls).forEach(look), 50);
  }).observe(document, { childList: true });

  // finished takes the permits of a request back that has led to nothing.
  const finished = (id) => {
    if (!document.fullscreenElement) permits.fullscreen.delete(id);
    if (!document.pointerLockElement) permits.pointerLock.delete(id);
  };

  globalThis.bridgePermissions = {
    answer: (message) => {
      if (message.granted && message.permission in permits) permit(message.permission, message.id);
      tell('answer', message);
      // The page asks for the names now. Chromium answers in turn: when it has
      // answered this, it has answered the page.
      if (message.devices) setTimeout(() => navigator.mediaDevices.enumerateDevices().finally(() => call({ kind: 'done', id: message.id })));
    },
    // permit lets a frame inside this one be in fullscreen, or no longer.
    permit: (id, given) => given ? permit('fullscreen', id) : finished(id),
    changed: () => tell('changed', {}),
  };
}
