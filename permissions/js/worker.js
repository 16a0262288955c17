// Tells a worker what it may do. It runs in the worker before its script.
(replace, checks, check) => {
  checks(replace, {
    query: (descriptor) => check({ descriptor }).state,
    notifications: () => check({ permission: 'notifications' }).state,
  });
}
