// Tells a worker what it may do. It runs in the worker before its script.
(replace, own, checks, check) => {
  checks(replace, own, {
    query: (descriptor) => check({ descriptor }, 'granted').state,
    notifications: () => check({ permission: 'notifications' }, 'granted').state,
  });
}
