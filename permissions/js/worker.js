// Tells a worker what it may do. It runs in the worker before its script.
(replace, own, checks, check) => {
  checks(replace, own, {
    query: (descriptor) => check({ descriptor }).state,
    notifications: () => check({ permission: 'notifications' }).state,
  });
}
